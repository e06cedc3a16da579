"""asyncio.sleep in a retry loop."""

import asyncio

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        while not await mpnt.vm_lock.try_write():
            await asyncio.sleep(0.01)  # here
        await mpnt.vm_lock_seq.set(await oldmm.mm_lock_seq)
        await mpnt.vm_lock.up_write()
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
