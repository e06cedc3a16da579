"""Kernel functions are called with *args, **kwargs and keyword arguments by Linux's parameter names."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    whole = {"mm": oldmm}
    await mmap_write_lock(**whole)
    for mpnt in await for_each_vma(mm=oldmm):
        await vma_start_write(vma=mpnt)
        args = (mm, mpnt)
        tmp = await vm_area_dup(*args)
        await copy_page_range(**{"src_vma": mpnt, "dst_vma": tmp})
    await flush_tlb_mm(**whole)
    await mmap_write_unlock(*whole.values())
