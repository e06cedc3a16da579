"""Three async generators, each of which feeds the next, drained by a comprehension with `async for`."""

from mmlocks.mm import *


async def vmas(mm):
    for vma in await for_each_vma(mm):
        yield vma


async def locked(source):
    async for vma in source:
        await vma_start_write(vma)
        yield vma


async def duplicated(source, mm):
    async for vma in source:
        yield vma, await vm_area_dup(mm, vma)


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    [await copy_page_range(tmp, vma) async for vma, tmp in duplicated(locked(vmas(oldmm)), mm)]
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
