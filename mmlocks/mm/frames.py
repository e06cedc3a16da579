"""Physical memory: allocating frames, and counting references to them.

A frame whose count drops to 0 is filled with poison, so a later use of it is seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmlocks.machine import Step
from mmlocks.mm.mm_types import File, Frame, Memory, Mm

if TYPE_CHECKING:
    # Stands in reclaim, which imports this file. Linking finds it by its name.
    async def try_to_free_pages(file: File) -> None: ...


async def vma_alloc_folio(mm: Mm, page: int, copied_from: Frame | None) -> Frame:
    """Allocate a frame for a page, zeroed or with the contents of another; reference count 1.

    Kernel:  mm/mempolicy.c vma_alloc_folio(), then clear_huge_page() or mm/memory.c
             __wp_page_copy_user().
    Locks:   none: others do not have the frame yet. *No lock here protects the read of the old
             frame.* Where memory is short, reclaim takes locks on the way.
    Differs: allocation and copy are one step, as others cannot see the frame in between; a copy is
             not torn within a page.
    """
    if mm.memory.reclaimable is not None:
        await try_to_free_pages(mm.memory.reclaimable)
    frame: Frame = await vma_alloc_folio_step(mm, page, copied_from)
    return frame


def vma_alloc_folio_step(mm: Mm, page: int, copied_from: Frame | None) -> Step:
    """The step inside `vma_alloc_folio`; its result is the frame."""
    return Step("alloc_folio", (mm, page, copied_from))


async def folio_get(folio: Frame) -> None:
    """Take a reference, so that the frame stays (include/linux/mm.h folio_get)."""
    await folio.refcount.add(1)


async def folio_put(memory: Memory, folio: Frame) -> None:
    """Drop a reference; the last one frees the frame (include/linux/mm.h folio_put)."""
    if folio is not memory.zero:
        await put_step(folio)


def put_step(folio: Frame) -> Step:
    """The step inside `folio_put`, for use with `together`."""
    return Step("folio_put", (folio,))
