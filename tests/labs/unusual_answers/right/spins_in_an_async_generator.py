"""A retry loop without a bound in an async generator, and another in the loop that it feeds."""

from mmlocks.mm import *


async def locked(vmas):
    for vma in vmas:
        while not await vma.vm_lock.try_write():
            pass
        yield vma


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    vmas = await for_each_vma(oldmm)
    async for mpnt in locked(vmas):
        await mpnt.vm_lock_seq.set(await oldmm.mm_lock_seq)
        await mpnt.vm_lock.up_write()
        while not await mpnt.vm_lock.try_write():
            pass
        await mpnt.vm_lock.up_write()
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
