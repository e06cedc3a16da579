"""The semaphores of all VMAs are held, kept in a list, and given up in reverse after the flush."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    held = []
    try:
        for mpnt in await for_each_vma(oldmm):
            await mpnt.vm_lock.down_write()
            held.append(mpnt.vm_lock)
            await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
        await flush_tlb_mm(oldmm)
    finally:
        while held:
            await held.pop().up_write()
        await mmap_write_unlock(oldmm)
