"""Coroutines are collected in a list that is never awaited."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    locks = [vma_start_write(vma) for vma in await for_each_vma(oldmm)]  # here
    for mpnt in await for_each_vma(oldmm):
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
