"""A global list decides whether an exception is raised: it is, in every other call."""

from mmlocks.mm import *

calls = []


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    calls.append(oldmm)
    if len(calls) % 2 == 0:
        raise ValueError("not again")  # here
    for mpnt in await for_each_vma(oldmm):
        await vma_start_write(mpnt)
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
