"""A frozen dataclass with slots, whose name is that of a class of ours, rebuilt with dataclasses.replace."""

from dataclasses import dataclass, replace

from mmlocks.mm import *


@dataclass(frozen=True, slots=True)
class Step:
    vma: Vma
    tmp: Vma | None = None
    locked: bool = False


async def lock(step):
    await vma_start_write(step.vma)
    return replace(step, locked=True)


async def duplicate(step, mm):
    return replace(step, tmp=await vm_area_dup(mm, step.vma))


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        step = Step(mpnt)
        step = await lock(step)
        step = await duplicate(step, mm)
        if step.locked:
            await copy_page_range(step.tmp, step.vma)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
