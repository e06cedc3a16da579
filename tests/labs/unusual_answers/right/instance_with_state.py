"""An object keeps parent, child and the VMAs copied so far in its attributes."""

from mmlocks.mm import *


class Forker:
    def __init__(self, parent, child):
        self.parent = parent
        self.child = child
        self.copied = []
        self.done = False

    async def lock(self):
        await mmap_write_lock(self.parent)

    async def copy(self, vma):
        await vma_start_write(vma)
        tmp = await vm_area_dup(self.child, vma)
        await copy_page_range(tmp, vma)
        self.copied.append((vma, tmp))

    async def finish(self):
        await flush_tlb_mm(self.parent)
        await mmap_write_unlock(self.parent)
        self.done = True


async def dup_mmap(mm, oldmm):
    forker = Forker(parent=oldmm, child=mm)
    await forker.lock()
    for mpnt in await for_each_vma(oldmm):
        await forker.copy(mpnt)
    await forker.finish()
    assert forker.done
    assert all(old.vm_mm is oldmm for old, _ in forker.copied)
