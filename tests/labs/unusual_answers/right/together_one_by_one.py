"""together is used where it makes no difference that its parts come one after the other."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        seq, mm_seq = await together(mpnt.vm_lock_seq, oldmm.mm_lock_seq)
        if seq != mm_seq:
            await together(
                mpnt.vm_lock.down_write(), mpnt.vm_lock_seq.set(mm_seq), mpnt.vm_lock.up_write()
            )
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await together(flush_tlb_mm(oldmm), oldmm.mm_lock_seq.add(1), oldmm.mmap_lock.up_write())
