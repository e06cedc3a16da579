"""An async generator is walked with a plain `for`."""

from mmlocks.mm import *


async def locked_vmas(mm):
    for vma in await for_each_vma(mm):
        await vma_start_write(vma)
        yield vma


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in locked_vmas(oldmm):  # here
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
