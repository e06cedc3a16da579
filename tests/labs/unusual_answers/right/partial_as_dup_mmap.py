"""dup_mmap is a functools.partial of a more general function."""

from functools import partial

from mmlocks.mm import *


async def duplicate(mm, oldmm, *, lock, flush):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await lock(mpnt)
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush(oldmm)
    await mmap_write_unlock(oldmm)


dup_mmap = partial(duplicate, lock=vma_start_write, flush=flush_tlb_mm)
