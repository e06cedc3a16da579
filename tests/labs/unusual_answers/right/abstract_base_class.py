"""A template method in an abstract base class; the fix is in the subclass."""

from abc import ABC, abstractmethod

from mmlocks.mm import *


class AbstractFork(ABC):
    def __init__(self, mm, oldmm):
        self.mm, self.oldmm = mm, oldmm

    @abstractmethod
    async def before(self, vma): ...

    @abstractmethod
    async def after(self): ...

    async def run(self):
        await mmap_write_lock(self.oldmm)
        for vma in await for_each_vma(self.oldmm):
            await self.before(vma)
            await copy_page_range(await vm_area_dup(self.mm, vma), vma)
        await self.after()
        await mmap_write_unlock(self.oldmm)


class LockingFork(AbstractFork):
    async def before(self, vma):
        await vma_start_write(vma)

    async def after(self):
        await flush_tlb_mm(self.oldmm)


async def dup_mmap(mm, oldmm):
    await LockingFork(mm, oldmm).run()
