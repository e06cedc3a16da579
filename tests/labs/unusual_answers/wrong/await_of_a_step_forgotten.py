"""A lock's own step is made in a helper and not awaited."""

from mmlocks.mm import *


class Held:
    def __init__(self, vma):
        self.vma = vma

    async def __aenter__(self):
        self.vma.vm_lock.down_write()

    async def __aexit__(self, *_):
        await self.vma.vm_lock.up_write()


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        async with Held(mpnt):
            await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
