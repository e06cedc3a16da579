"""Handles are compared with ==, `is` and `in`, also with the one from the turn before."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    before = None
    for mpnt in await for_each_vma(oldmm):
        if mpnt == before or mpnt is before:
            continue
        assert mpnt.vm_mm == oldmm and mpnt.vm_mm is not mm
        await vma_start_write(mpnt)
        tmp = await vm_area_dup(mm, mpnt)
        assert tmp != mpnt and tmp not in (before, None) and tmp.vm_mm is mm
        await copy_page_range(tmp, mpnt)
        before = mpnt
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
