"""A context manager whose class keeps a stack of what is held, for a check when it is left."""

from typing import ClassVar

from mmlocks.mm import *


class Held:
    stack: ClassVar[list] = []

    def __init__(self, mm):
        self.mm = mm

    async def __aenter__(self):
        await mmap_write_lock(self.mm)
        Held.stack.append(self.mm)

    async def __aexit__(self, *_):
        Held.stack.pop()
        await mmap_write_unlock(self.mm)


async def dup_mmap(mm, oldmm):
    async with Held(oldmm):
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
        await flush_tlb_mm(oldmm)
