"""A retry loop without a bound in an async context manager that is made from a generator."""

from contextlib import asynccontextmanager

from mmlocks.mm import *


@asynccontextmanager
async def written(lock):
    while not await lock.try_write():
        pass
    try:
        yield
    finally:
        await lock.up_write()


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        async with written(mpnt.vm_lock):
            await mpnt.vm_lock_seq.set(await oldmm.mm_lock_seq)
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
