"""Members of IntEnum and IntFlag are given to steps and kernel functions in place of numbers."""

from enum import IntEnum, IntFlag

from mmlocks.mm import *


class By(IntEnum):
    ONE = 1


class What(IntFlag):
    NOTHING = 0
    LOCK = 1
    COPY = 2
    BOTH = LOCK | COPY


async def share(mm, vma, what=What.BOTH):
    if What.LOCK in what:
        await vma_start_write(vma)
    tmp = await vm_area_dup(mm, vma)
    if what & What.COPY:
        await copy_page_range(tmp, vma)


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await share(mm, mpnt)
    await flush_tlb_mm(oldmm)
    await oldmm.mm_lock_seq.add(By.ONE)
    await oldmm.mmap_lock.up_write()
