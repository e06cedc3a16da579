"""VMAs: read one as a whole, allocate one, free one. The type itself stands in mm_types."""

from __future__ import annotations

from typing import Any

from mmlocks.machine import Step, together
from mmlocks.mm.mm_types import Fields, File, Mm, Vma


async def fields_of(vma: Vma) -> Fields:
    """Look at a VMA as a whole.

    Locks:   mmap_lock for writing, so it makes no difference that this is one step.
    """
    found = await together(*vma.content())
    return Fields(vma, *found)


async def vm_area_alloc(
    mm: Mm,
    start: int,
    end: int,
    pgoff: int,
    flags: int,
    file: File | None,
    page_prot: bool | None = None,
) -> Vma:
    """A new VMA, not known to others yet (kernel/fork.c vm_area_alloc).

    Without a `page_prot` to copy, the flags alone decide it; vma_set_page_prot asks the file.
    Raises ScenarioTooSmall if the scenario of a search has set aside no more VMAs.
    """
    vma: Vma = await vm_area_alloc_step(mm, start, end, pgoff, flags, file, page_prot)
    return vma


def vm_area_alloc_step(mm: Mm, *fields: Any) -> Step:
    """The step inside `vm_area_alloc`, with the same arguments; its result is the VMA."""
    return Step("vm_area_alloc", (mm, *fields))


async def vm_area_free(vma: Vma) -> None:
    """Free a VMA once all RCU readers who may have found it have left (kernel/fork.c)."""
    await vma.vm_mm.rcu.call(vma)
