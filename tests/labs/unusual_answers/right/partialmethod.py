"""functools.partialmethod makes two methods of one."""

from functools import partialmethod

from mmlocks.mm import *


class Parent:
    def __init__(self, mm):
        self.mm = mm

    async def _lock(self, taking):
        await (mmap_write_lock if taking else mmap_write_unlock)(self.mm)

    lock = partialmethod(_lock, True)
    unlock = partialmethod(_lock, taking=False)


async def dup_mmap(mm, oldmm):
    parent = Parent(oldmm)
    await parent.lock()
    for mpnt in await for_each_vma(oldmm):
        await vma_start_write(mpnt)
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await parent.unlock()
