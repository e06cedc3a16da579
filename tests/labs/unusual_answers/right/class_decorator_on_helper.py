"""A class serves as the decorator of a helper, which is then an object with an async __call__."""

import functools

from mmlocks.mm import *


class locked_first:
    def __init__(self, function):
        functools.update_wrapper(self, function)
        self.function = function

    async def __call__(self, mm, vma):
        await vma_start_write(vma)
        return await self.function(mm, vma)


@locked_first
async def share(mm, vma):
    """Copy one VMA."""
    tmp = await vm_area_dup(mm, vma)
    await copy_page_range(tmp, vma)


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await share(mm, mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
