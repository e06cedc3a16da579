"""A method of the answer's own is called and not awaited."""

from mmlocks.mm import *


class Fork:
    async def lock(self, vma):
        await vma_start_write(vma)

    async def run(self, mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            self.lock(mpnt)  # here
            await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


async def dup_mmap(mm, oldmm):
    await Fork().run(mm, oldmm)
