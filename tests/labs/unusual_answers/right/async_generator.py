"""An async generator locks each VMA before it yields it."""

from mmlocks.mm import *


async def locked_vmas(mm):
    for vma in await for_each_vma(mm):
        await vma_start_write(vma)
        yield vma


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    async for mpnt in locked_vmas(oldmm):
        tmp = await vm_area_dup(mm, mpnt)
        await copy_page_range(tmp, mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
