"""A retry loop without a bound in __await__."""

from mmlocks.mm import *


class Written:
    def __init__(self, lock):
        self.lock = lock

    def __await__(self):
        while not (yield from self.lock.try_write().__await__()):
            pass
        return self

    def unlock(self):
        return self.lock.up_write()


async def write_lock(vma):
    held = await Written(vma.vm_lock)
    await vma.vm_lock_seq.set(await vma.vm_mm.mm_lock_seq)
    await held.unlock()


class Later:
    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __await__(self):
        return self.function(*self.args).__await__()


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await Later(write_lock, mpnt)
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
