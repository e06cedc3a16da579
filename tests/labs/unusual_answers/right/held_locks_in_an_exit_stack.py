"""The same with an AsyncExitStack, on which each VMA's lock is a context manager."""

from contextlib import AsyncExitStack, asynccontextmanager

from mmlocks.mm import *


@asynccontextmanager
async def written(lock):
    await lock.down_write()
    try:
        yield lock
    finally:
        await lock.up_write()


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    async with AsyncExitStack() as stack:
        for mpnt in await for_each_vma(oldmm):
            await stack.enter_async_context(written(mpnt.vm_lock))
            await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
        await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
