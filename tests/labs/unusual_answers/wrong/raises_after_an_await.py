"""An assertion that does not hold, in a method, after some awaits."""

from mmlocks.mm import *


class Check:
    def __init__(self, vma):
        self.vma = vma

    async def __aenter__(self):
        seq = await self.vma.vm_lock_seq
        assert seq == 0, f"{self.vma} has {seq}"  # here

    async def __aexit__(self, *_):
        await vma_start_write(self.vma)


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        async with Check(mpnt):
            await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
