"""A dataclass with a default factory describes the work, another one the result of each VMA."""

from dataclasses import dataclass, field

from mmlocks.mm import *


@dataclass
class Copied:
    old: Vma
    new: Vma


@dataclass
class Job:
    mm: Mm
    oldmm: Mm
    copied: list = field(default_factory=list)

    async def run(self):
        await mmap_write_lock(self.oldmm)
        for mpnt in await for_each_vma(self.oldmm):
            await vma_start_write(mpnt)
            one = Copied(old=mpnt, new=await vm_area_dup(self.mm, mpnt))
            await copy_page_range(one.new, one.old)
            self.copied.append(one)
        await flush_tlb_mm(self.oldmm)
        await mmap_write_unlock(self.oldmm)


async def dup_mmap(mm, oldmm):
    await Job(mm, oldmm).run()
