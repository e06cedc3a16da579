"""VMAs are write-locked before mmap_lock is taken."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    for mpnt in await for_each_vma(oldmm):
        await vma_start_write(mpnt)
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
