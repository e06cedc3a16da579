"""A return that is indented too far: only the first VMA is copied."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    try:
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
            await flush_tlb_mm(oldmm)
            return
    finally:
        await mmap_write_unlock(oldmm)
