"""A helper of the answer's own calls vma_start_write with two arguments."""

from mmlocks.mm import *


async def lock(vma, mm):
    await vma_start_write(vma, mm)  # here


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await lock(mpnt, oldmm)
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
