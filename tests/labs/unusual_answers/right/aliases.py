"""Kernel functions under names of the student's own, global and local."""

from mmlocks.mm import *

take, give_up = mmap_write_lock, mmap_write_unlock
lock = vma_start_write
ways = {"dup": vm_area_dup, "copy": copy_page_range}


async def dup_mmap(mm, oldmm):
    flush, vmas = flush_tlb_mm, for_each_vma
    await take(oldmm)
    for mpnt in await vmas(oldmm):
        await lock(mpnt)
        await ways["copy"](await ways["dup"](mm, mpnt), mpnt)
    await flush(oldmm)
    await give_up(oldmm)
