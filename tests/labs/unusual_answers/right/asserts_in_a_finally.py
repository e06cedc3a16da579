"""A finally block asserts that everything was copied. It does not hold while the fork is under way, and is not asked then."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    vmas, copied = await for_each_vma(oldmm), []
    try:
        for mpnt in vmas:
            if not await mpnt.vm_lock.try_write():
                await mpnt.vm_lock.down_write()
            await mpnt.vm_lock_seq.set(await oldmm.mm_lock_seq)
            await mpnt.vm_lock.up_write()
            await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
            copied.append(mpnt)
        await flush_tlb_mm(oldmm)
    finally:
        assert len(copied) == len(vmas)
        await mmap_write_unlock(oldmm)
