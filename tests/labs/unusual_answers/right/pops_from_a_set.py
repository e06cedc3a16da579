"""A set of VMAs is emptied with pop: in an order of its own, which matters to nothing."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    todo = set(await for_each_vma(oldmm))
    while todo:
        mpnt = todo.pop()
        await vma_start_write(mpnt)
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
