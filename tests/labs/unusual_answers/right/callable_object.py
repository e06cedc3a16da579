"""A global object with __call__ does the copying."""

from mmlocks.mm import *


class CopyVma:
    def __init__(self, lock):
        self.lock = lock

    async def __call__(self, mm, vma):
        await self.lock(vma)
        tmp = await vm_area_dup(mm, vma)
        await copy_page_range(tmp, vma)


share = CopyVma(vma_start_write)


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await share(mm, mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
