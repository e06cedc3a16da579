"""Two context managers made from generators, one inside the other; the inner one flushes on its way out."""

import contextlib

from mmlocks.mm import *


@contextlib.asynccontextmanager
async def mmap_locked(mm):
    await mmap_write_lock(mm)
    yield
    await mmap_write_unlock(mm)


@contextlib.asynccontextmanager
async def flushed_afterwards(mm):
    yield
    await flush_tlb_mm(mm)


async def dup_mmap(mm, oldmm):
    async with mmap_locked(oldmm), flushed_afterwards(oldmm):
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
