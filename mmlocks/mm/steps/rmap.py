"""What the steps of rmap do: link VMAs to an anon_vma, and file frames where rmap finds them."""

from __future__ import annotations

from typing import NamedTuple

from mmlocks.machine import Layout, View, operation
from mmlocks.machine.step import Footprint, ViolationSignal, alive, touching
from mmlocks.machine.wire import travels
from mmlocks.mm.address import PAGE_SIZE
from mmlocks.mm.filing import linear_page_index
from mmlocks.mm.mm_types import AnonVma, Frame, Mm, Vma


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


@travels
class Filing(NamedTuple):
    """Where a VMA files its new anonymous frames, and all anon_vmas to which it is linked."""

    vma: Vma
    anon_vma: AnonVma | None
    chain: tuple[AnonVma, ...]


def file_under(
    view: View, cpu: int, mm: Mm, folio: Frame, page: int, index: int, filed: Filing
) -> None:
    """For operations: file a frame, if a search for its mappings will find this one."""
    vma, anon_vma, chain = filed
    if anon_vma is None or anon_vma not in chain:
        raise ViolationSignal(
            "misfiled",
            f"cpu{cpu} maps {folio} at P{page} and files it in {anon_vma or 'no anon_vma'}, "
            f"to which VMA {vma} is not linked: "
            "a search for the mappings of the frame will not find this one",
        )
    wanted = mm.filed_under.get(page, index)
    if index != wanted:
        raise ViolationSignal(
            "misfiled",
            f"cpu{cpu} files {folio} (P{page}) under index {index}, and by VMA {vma} P{page} has "
            f"index {wanted}, before and after it grows: "
            "a search for the mappings of the frame will not find this one",
        )
    view[folio.index.index] = index
    view[folio.mapping.index] = anon_vma


def _file(view: View, cpu: int, folio: Frame, vma: Vma, page: int, start: int) -> None:
    pgoff, anon_vma, chain = (
        alive(view, cpu, cell.index, "reads")
        for cell in (vma.vm_pgoff, vma.anon_vma, vma.anon_vma_chain)
    )
    index = linear_page_index(pgoff, start, page * PAGE_SIZE)
    file_under(view, cpu, vma.vm_mm, folio, page, index, Filing(vma, anon_vma, chain))


def _file_touches(
    layout: Layout, cpu: int, folio: Frame, vma: Vma, page: int, start: int
) -> Footprint:
    ours = [folio.index.index, folio.mapping.index]
    return touching(
        reads=[vma.vm_pgoff.index, vma.anon_vma.index, vma.anon_vma_chain.index], writes=ours
    )


def _dup(view: View, cpu: int, folio: Frame, dst_vma: Vma) -> None:
    anon_vma = view[folio.mapping.index]
    if folio.anonymous and anon_vma not in view[dst_vma.anon_vma_chain.index]:
        raise ViolationSignal(
            "misfiled",
            f"cpu{cpu} maps {folio} in VMA {dst_vma} as well, which is not linked to {anon_vma}, "
            "where the frame is filed: "
            "a search for the mappings of the frame will not find this one",
        )


operation("folio_add_new_anon_rmap", _file_touches, _file)
operation(
    "page_try_dup_anon_rmap",
    lambda layout, cpu, folio, dst_vma: touching(
        reads=[folio.mapping.index, dst_vma.anon_vma_chain.index]
    ),
    _dup,
)
