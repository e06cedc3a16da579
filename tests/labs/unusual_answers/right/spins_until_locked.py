"""A retry loop without a bound around try_write, in a method whose object counts nothing."""

from mmlocks.mm import *


class SpinLock:
    def __init__(self, lock):
        self.lock = lock

    async def __aenter__(self):
        while True:
            if await self.lock.try_write():
                return self
            continue

    async def __aexit__(self, *_):
        await self.lock.up_write()


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        async with SpinLock(mpnt.vm_lock):
            await mpnt.vm_lock_seq.set(await oldmm.mm_lock_seq)
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
