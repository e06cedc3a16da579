"""An object of the answer's own is passed to a kernel function in place of the VMA in it."""

from mmlocks.mm import *


class Locked:
    def __init__(self, vma):
        self.vma = vma


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await vma_start_write(mpnt)
        tmp = await vm_area_dup(mm, Locked(mpnt))  # here
        await copy_page_range(tmp, mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
