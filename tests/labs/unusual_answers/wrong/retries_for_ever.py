"""A retry loop that waits for what never happens: the VMA's number to become another while fork holds mmap_lock."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await vma_start_write(mpnt)
        while await mpnt.vm_lock_seq == await oldmm.mm_lock_seq:  # here
            pass
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
