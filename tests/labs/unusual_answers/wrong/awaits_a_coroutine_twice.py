"""One coroutine is awaited for every VMA, and can be awaited once."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    flush = vma_end_write_all(mm)
    for mpnt in await for_each_vma(oldmm):
        await vma_start_write(mpnt)
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
        await flush  # here
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
