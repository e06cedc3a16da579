"""What can be done to an anon_vma in one step: it is allocated, and VMAs are linked to it and unlinked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmlocks.machine import Layout, Step, View, operation
from mmlocks.machine.step import Footprint, ViolationSignal, touching

if TYPE_CHECKING:
    from mmlocks.mm.rmap import AnonVma
    from mmlocks.mm.vma import Vma


def anon_vma_alloc_step(vma: Vma) -> Step:
    """The step inside `anon_vma_alloc`; its result is the anon_vma."""
    return Step("anon_vma_alloc", (vma,))


def _alloc(view: View, cpu: int, vma: Vma) -> AnonVma:
    return vma.spare_anon_vmas.take(view, cpu)


def _alloc_touches(layout: Layout, cpu: int, vma: Vma) -> Footprint:
    return touching(
        reads=[cell.index for each in vma.spare_anon_vmas for cell in (each.refcount, each.freed)]
    )


def _counts(layout: Layout, cpu: int, anon_vma: AnonVma) -> Footprint:
    cells = [anon_vma.refcount.index, anon_vma.freed.index]
    return touching(reads=cells, writes=cells)


def _get(view: View, cpu: int, anon_vma: AnonVma) -> None:
    if view[anon_vma.freed.index]:
        raise ViolationSignal(
            "freed_anon_vma",
            f"cpu{cpu}: links a VMA to {anon_vma}, which has been freed (its last VMA has left it)",
        )
    view[anon_vma.refcount.index] += 1


def _put(view: View, cpu: int, anon_vma: AnonVma) -> None:
    left = view[anon_vma.refcount.index] - 1
    if left < 0:
        raise ViolationSignal(
            "freed_anon_vma", f"cpu{cpu}: unlinks a VMA from {anon_vma}, to which none is linked"
        )
    view[anon_vma.refcount.index] = left
    view[anon_vma.freed.index] = left == 0


operation("anon_vma_alloc", _alloc_touches, _alloc)
operation("anon_vma_get", _counts, _get)
operation("anon_vma_put", _counts, _put)
