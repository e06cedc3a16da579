"""Submodules are imported as names, and functions from the files in which they stand."""

from mmlocks.mm import mmap_lock, vma_lock
from mmlocks.mm.fork import copy_page_range
from mmlocks.mm.maple import for_each_vma
from mmlocks.mm.tlb import flush_tlb_mm
from mmlocks.mm.vma_dup import vm_area_dup


async def dup_mmap(mm, oldmm):
    await mmap_lock.mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await vma_lock.vma_start_write(mpnt)
        tmp = await vm_area_dup(mm, mpnt)
        await copy_page_range(tmp, mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_lock.mmap_write_unlock(oldmm)
