"""down_write is named and not called."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await mpnt.vm_lock.down_write  # here
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
        await mpnt.vm_lock.up_write()
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
