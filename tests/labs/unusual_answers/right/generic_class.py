"""A generic helper class, subscripted where it is made."""

from typing import Generic, TypeVar

from mmlocks.mm import *

T = TypeVar("T")


class Each(Generic[T]):
    def __init__(self, *items: T) -> None:
        self.items = items

    async def do(self, *functions):
        for item in self.items:
            for function in functions:
                await function(item)


async def dup_mmap(mm, oldmm):
    async def share(vma: Vma) -> None:
        await copy_page_range(await vm_area_dup(mm, vma), vma)

    await mmap_write_lock(oldmm)
    await Each[Vma](*await for_each_vma(oldmm)).do(vma_start_write, share)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
