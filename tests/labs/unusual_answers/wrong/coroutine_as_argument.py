"""The coroutine of vm_area_dup is passed on, not its result."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await vma_start_write(mpnt)
        await copy_page_range(vm_area_dup(mm, mpnt), mpnt)  # here
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
