"""vm_area_dup and copy_page_range are called with their arguments swapped."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await vma_start_write(mpnt)
        tmp = await vm_area_dup(mpnt, mm)  # here
        await copy_page_range(mpnt, tmp)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
