"""A helper with a `yield` is awaited."""

from mmlocks.mm import *


async def locked(vma):
    await vma_start_write(vma)
    yield vma


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await locked(mpnt)  # here
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
