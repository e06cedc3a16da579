"""The fork is made of static methods of a class that is never instantiated."""

from mmlocks.mm import *


class Fork:
    @staticmethod
    async def share(mm, vma):
        await vma_start_write(vma)
        await copy_page_range(await vm_area_dup(mm, vma), vma)

    @staticmethod
    async def run(mm, oldmm):
        await mmap_write_lock(oldmm)
        for vma in await for_each_vma(oldmm):
            await Fork.share(mm, vma)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


async def dup_mmap(mm, oldmm):
    await Fork.run(mm, oldmm)
