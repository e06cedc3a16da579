"""contextlib.AsyncExitStack with callbacks that run in reverse."""

from contextlib import AsyncExitStack

from mmlocks.mm import *


async def flush(mm):
    await flush_tlb_mm(mm)


async def dup_mmap(mm, oldmm):
    async with AsyncExitStack() as stack:
        await mmap_write_lock(oldmm)
        stack.push_async_callback(mmap_write_unlock, oldmm)
        stack.push_async_callback(flush, oldmm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
