"""dup_mmap itself is an object: a class serves as its decorator."""

from mmlocks.mm import *


class Locked:
    def __init__(self, function):
        self.function = function

    async def __call__(self, mm, oldmm):
        await mmap_write_lock(oldmm)
        await self.function(mm, oldmm)
        await mmap_write_unlock(oldmm)


@Locked
async def dup_mmap(mm, oldmm):
    for mpnt in await for_each_vma(oldmm):
        await vma_start_write(mpnt)
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
