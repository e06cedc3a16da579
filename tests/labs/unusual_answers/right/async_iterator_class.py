"""A class with __aiter__ and __anext__ hands out locked VMAs."""

from mmlocks.mm import *


class LockedVmas:
    def __init__(self, mm):
        self.mm = mm
        self.rest = None

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self.rest is None:
            self.rest = list(await for_each_vma(self.mm))
        if not self.rest:
            raise StopAsyncIteration
        vma = self.rest.pop(0)
        await vma_start_write(vma)
        return vma


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    async for mpnt in LockedVmas(oldmm):
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
