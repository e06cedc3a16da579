"""functools.reduce nests a coroutine for each VMA, and the outermost one is awaited."""

from functools import reduce

from mmlocks.mm import *


async def nothing():
    return []


def sharing(mm):
    async def then(before, vma):
        done = await before
        await vma_start_write(vma)
        tmp = await vm_area_dup(mm, vma)
        await copy_page_range(tmp, vma)
        return [*done, tmp]

    return then


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    await reduce(sharing(mm), await for_each_vma(oldmm), nothing())
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
