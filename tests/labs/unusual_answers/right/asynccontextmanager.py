"""contextlib.asynccontextmanager around mmap_lock."""

from contextlib import asynccontextmanager

from mmlocks.mm import *


@asynccontextmanager
async def write_locked(mm):
    await mmap_write_lock(mm)
    try:
        yield mm
    finally:
        await mmap_write_unlock(mm)


async def dup_mmap(mm, oldmm):
    async with write_locked(oldmm) as parent:
        for mpnt in await for_each_vma(parent):
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(parent)
