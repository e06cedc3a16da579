"""dup_mmap is a lambda that returns the coroutine of a function with another name."""

from mmlocks.mm import *


async def my_dup_mmap(mm, oldmm, lock):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await lock(mpnt)
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)


dup_mmap = lambda mm, oldmm: my_dup_mmap(mm, oldmm, vma_start_write)
