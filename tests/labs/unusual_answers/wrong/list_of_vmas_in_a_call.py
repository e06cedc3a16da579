"""All VMAs are passed at once to a function that takes one."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    vmas = await for_each_vma(oldmm)
    await vma_start_write(vmas)  # here
    for mpnt in vmas:
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
