"""try_write is asked in a condition without an await."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        while not mpnt.vm_lock.try_write():  # here
            pass
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
        await mpnt.vm_lock.up_write()
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
