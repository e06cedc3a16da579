"""An async generator takes and gives up mmap_lock around its yields, in try/finally, with a retry loop."""

from mmlocks.mm import *


async def vmas_under_lock(mm):
    await mmap_write_lock(mm)
    try:
        for vma in await for_each_vma(mm):
            while not await vma.vm_lock.try_write():
                pass
            await vma.vm_lock_seq.set(await mm.mm_lock_seq)
            await vma.vm_lock.up_write()
            yield vma
        await flush_tlb_mm(mm)
    finally:
        await mmap_write_unlock(mm)


async def dup_mmap(mm, oldmm):
    async for mpnt in vmas_under_lock(oldmm):
        if await mpnt.vm_lock.try_write():
            await mpnt.vm_lock.up_write()
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
