"""Two fields are compared, not their values."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        if mpnt.vm_lock_seq != oldmm.mm_lock_seq:  # here
            await vma_start_write(mpnt)
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
