"""dup_mmap returns from the middle of its loop, and leaves mmap_lock held."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await vma_start_write(mpnt)
        tmp = await vm_area_dup(mm, mpnt)
        if await mpnt.anon_vma is None:
            return
        await copy_page_range(tmp, mpnt)
    await flush_tlb_mm(oldmm)
    return
    await mmap_write_unlock(oldmm)
