"""Subclasses register themselves; a metaclass and __init_subclass__ are at work when the file is loaded."""

from mmlocks.mm import *


class Stage:
    stages = []

    def __init_subclass__(cls, /, order, **kwargs):
        super().__init_subclass__(**kwargs)
        Stage.stages.append((order, cls))

    def __init__(self, mm):
        self.mm = mm


class Copy(Stage, order=3):
    async def run(self, vma, tmp):
        await copy_page_range(tmp, vma)


class Lock(Stage, order=1):
    async def run(self, vma, tmp):
        await vma_start_write(vma)


class Duplicate(Stage, order=2):
    async def run(self, vma, tmp):
        return await vm_area_dup(self.mm, vma)


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        tmp = None
        for _, stage in sorted(Stage.stages, key=lambda pair: pair[0]):
            tmp = await stage(mm).run(mpnt, tmp) or tmp
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
