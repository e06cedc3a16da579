"""dup_mmap is a bound method of a global object."""

from mmlocks.mm import *


class Kernel643:
    lock = staticmethod(vma_start_write)

    async def dup_mmap(self, mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await self.lock(mpnt)
            await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


dup_mmap = Kernel643().dup_mmap
