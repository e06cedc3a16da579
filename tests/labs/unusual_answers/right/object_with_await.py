"""Objects that can be awaited: one by a generator, one by handing on the __await__ of a coroutine."""

from mmlocks.mm import *


class Locked:
    def __init__(self, vma):
        self.vma = vma

    def __await__(self):
        yield from vma_start_write(self.vma).__await__()
        return self.vma


class Share:
    def __init__(self, mm, vma):
        self.mm, self.vma = mm, vma

    async def _run(self):
        vma = await Locked(self.vma)
        await copy_page_range(await vm_area_dup(self.mm, vma), vma)

    def __await__(self):
        return self._run().__await__()


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await Share(mm, mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
