"""vma_start_write by hand, with the number read once before the loop."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    seq = await oldmm.mm_lock_seq
    for mpnt in await for_each_vma(oldmm):
        sem, field = mpnt.vm_lock, mpnt.vm_lock_seq
        if seq != await field:
            await sem.down_write()
            await field.set(seq)
            await sem.up_write()
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
