"""copy_page_range is called with keywords that it does not have."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await vma_start_write(mpnt)
        await copy_page_range(dst=await vm_area_dup(mm, mpnt), src=mpnt)  # here
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
