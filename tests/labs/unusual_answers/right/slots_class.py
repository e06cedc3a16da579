"""A helper object with __slots__ instead of a __dict__."""

from mmlocks.mm import *


class Pair:
    __slots__ = ("new", "old")

    def __init__(self, old):
        self.old = old
        self.new = None

    async def fill(self, mm):
        await vma_start_write(self.old)
        self.new = await vm_area_dup(mm, self.old)
        await copy_page_range(self.new, self.old)


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    pairs = []
    for mpnt in await for_each_vma(oldmm):
        pair = Pair(mpnt)
        pairs.append(pair)
        await pair.fill(mm)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
