"""Coroutines that are made ahead of their turn, in an object that refers to itself."""

from mmlocks.mm import *


class Plan:
    def __init__(self, mm, oldmm, vmas):
        self.itself = self
        self.locks = [vma_start_write(vma) for vma in vmas]
        self.ends = [mmap_write_unlock(oldmm)]


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    vmas = await for_each_vma(oldmm)
    plan = Plan(mm, oldmm, vmas)
    for mpnt, lock in zip(vmas, plan.locks):
        await lock
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    for end in plan.ends:
        await end
