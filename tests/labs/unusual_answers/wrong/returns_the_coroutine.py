"""dup_mmap returns the coroutine of a helper instead of awaiting it."""

from mmlocks.mm import *


async def fork_it(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await vma_start_write(mpnt)
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)


async def dup_mmap(mm, oldmm):  # here
    return fork_it(mm, oldmm)
