"""A small state machine whose states are members of an Enum."""

from enum import Enum, auto

from mmlocks.mm import *


class Stage(Enum):
    LOCK = auto()
    DUPLICATE = auto()
    COPY = auto()
    DONE = auto()


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        stage, tmp = Stage.LOCK, None
        while stage is not Stage.DONE:
            if stage is Stage.LOCK:
                await vma_start_write(mpnt)
                stage = Stage.DUPLICATE
            elif stage is Stage.DUPLICATE:
                tmp = await vm_area_dup(mm, mpnt)
                stage = Stage.COPY
            else:
                await copy_page_range(tmp, mpnt)
                stage = Stage.DONE
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
