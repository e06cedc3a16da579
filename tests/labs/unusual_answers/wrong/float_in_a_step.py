"""A number with a point is stored in a counter."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await mpnt.vm_lock.down_write()
        await mpnt.vm_lock_seq.set((await oldmm.mm_lock_seq) / 1)  # here
        await mpnt.vm_lock.up_write()
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
