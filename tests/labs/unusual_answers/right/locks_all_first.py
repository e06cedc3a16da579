"""All VMAs are locked by a comprehension before the first is copied. (Costly.)"""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    vmas = list(await for_each_vma(oldmm))
    [await vma_start_write(vma) for vma in vmas]
    for mpnt, tmp in [(vma, await vm_area_dup(mm, vma)) for vma in vmas]:
        await copy_page_range(tmp, mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
