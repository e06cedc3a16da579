"""Properties that return coroutines and steps, to be awaited by who reads them."""

from mmlocks.mm import *


class Parent:
    def __init__(self, mm):
        self._mm = mm

    @property
    def locked(self):
        return mmap_write_lock(self._mm)

    @property
    def unlocked(self):
        return mmap_write_unlock(self._mm)

    @property
    def flushed(self):
        return flush_tlb_mm(self._mm)

    @property
    def vmas(self):
        return for_each_vma(self._mm)


async def dup_mmap(mm, oldmm):
    parent = Parent(oldmm)
    await parent.locked
    for mpnt in await parent.vmas:
        await vma_start_write(mpnt)
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await parent.flushed
    await parent.unlocked
