"""A global set remembers which VMAs were locked, and so does not lock them in the next fork."""

from mmlocks.mm import *

locked = set()


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        if str(mpnt) not in locked:  # here
            await vma_start_write(mpnt)
            locked.add(str(mpnt))
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
