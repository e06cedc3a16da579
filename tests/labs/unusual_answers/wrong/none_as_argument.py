"""A helper without a return: its None is passed on as a VMA."""

from mmlocks.mm import *


async def duplicate(mm, vma):
    await vma_start_write(vma)
    await vm_area_dup(mm, vma)


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        tmp = await duplicate(mm, mpnt)
        await copy_page_range(tmp, mpnt)  # here
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
