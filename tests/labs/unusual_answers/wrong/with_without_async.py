"""An async context manager is entered with a plain `with`."""

from contextlib import asynccontextmanager

from mmlocks.mm import *


@asynccontextmanager
async def locked(mm):
    await mmap_write_lock(mm)
    yield
    await mmap_write_unlock(mm)


async def dup_mmap(mm, oldmm):
    with locked(oldmm):  # here
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
        await flush_tlb_mm(oldmm)
