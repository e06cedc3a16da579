"""A helper has the name of a kernel function that the student has never heard of."""

from mmlocks.mm import *


async def copy_vma(mm, vma):
    await vma_start_write(vma)
    await copy_page_range(await vm_area_dup(mm, vma), vma)


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await copy_vma(mm, mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
