"""Each VMA's copying is a context manager that flushes when it is left. (Costly.)"""

from contextlib import asynccontextmanager

from mmlocks.mm import *


@asynccontextmanager
async def copying(vma):
    await vma_start_write(vma)
    try:
        yield
    finally:
        await flush_tlb_mm(vma.vm_mm)


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        async with copying(mpnt):
            await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await mmap_write_unlock(oldmm)
