"""An asyncio.Lock that is shared by all forks."""

import asyncio

from mmlocks.mm import *

lock = asyncio.Lock()


async def dup_mmap(mm, oldmm):
    async with lock:
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)
