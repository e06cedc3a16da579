"""anon_vma: where a VMA's anonymous pages are filed, so that whoever wants to unmap a page finds who maps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmlocks.machine import Layout, Record

if TYPE_CHECKING:
    from mmlocks.mm.vma import Vma


class AnonVma(Record):
    """The file of a family of VMAs (kernel: struct anon_vma). Here only its identity matters."""

    def __init__(self, layout: Layout, name: str) -> None:
        super().__init__(layout, name)


async def anon_vma_prepare(vma: Vma) -> None:
    """Give a VMA its anon_vma before its first anonymous page is mapped.

    Kernel:  mm/rmap.c __anon_vma_prepare().
    Locks:   mmap_lock for reading (or writing); takes page_table_lock to set the field.
    Races:   another fault on the same VMA; the second look under page_table_lock settles it.
    Differs: a neighbour's anon_vma is not reused (find_mergeable_anon_vma).
    """
    if await vma.anon_vma is not None:
        return
    await vma.vm_mm.page_table_lock.lock()
    if await vma.anon_vma is None:
        await vma.anon_vma.set(vma.own_anon_vma)
    await vma.vm_mm.page_table_lock.unlock()
