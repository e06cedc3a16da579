"""flush_tlb_mm, which makes a step, is not awaited."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await vma_start_write(mpnt)
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    flush_tlb_mm(oldmm)  # here
    await mmap_write_unlock(oldmm)
