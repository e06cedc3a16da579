"""Helpers return a NamedTuple, which is kept over awaits and unpacked."""

from typing import NamedTuple

from mmlocks.mm import *


class Range(NamedTuple):
    vma: Vma
    start: int
    end: int

    @property
    def pages(self):
        return range(page_of(self.start), page_of(self.end))


async def range_of(vma):
    return Range(vma, await vma.vm_start, await vma.vm_end)


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await vma_start_write(mpnt)
        tmp = await vm_area_dup(mm, mpnt)
        if await mpnt.anon_vma is None:
            continue
        where = await range_of(mpnt)
        for page in where.pages:
            await copy_present_pte(tmp, where.vma, page)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
