"""dup_mmap is decorated: the decorator takes and gives up mmap_lock."""

import functools

from mmlocks.mm import *


def with_mmap_write_lock(function):
    @functools.wraps(function)
    async def wrapper(mm, oldmm):
        await mmap_write_lock(oldmm)
        try:
            return await function(mm, oldmm)
        finally:
            await mmap_write_unlock(oldmm)

    return wrapper


@with_mmap_write_lock
async def dup_mmap(mm, oldmm):
    for mpnt in await for_each_vma(oldmm):
        await vma_start_write(mpnt)
        tmp = await vm_area_dup(mm, mpnt)
        await copy_page_range(tmp, mpnt)
    await flush_tlb_mm(oldmm)
