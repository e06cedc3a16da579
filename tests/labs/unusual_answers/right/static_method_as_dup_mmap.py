"""dup_mmap is taken out of a class where it is a static method."""

from mmlocks.mm import *


class Fix:
    @staticmethod
    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


dup_mmap = Fix.dup_mmap
