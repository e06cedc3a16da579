"""mmap_write_lock and mmap_write_unlock written by hand."""

from mmlocks.mm import *


async def lock(mm):
    sem = mm.mmap_lock
    await sem.down_write()


async def unlock(mm):
    await vma_end_write_all(mm)
    sem = mm.mmap_lock
    await sem.up_write()


async def dup_mmap(mm, oldmm):
    await lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await vma_start_write(mpnt)
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await unlock(oldmm)
