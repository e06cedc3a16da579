"""Filing: where an anonymous frame is put down, so that whoever starts from the frame finds everybody who maps it.

From the frame to its anon_vma, from there to the VMAs that are linked to it, and in each by its index to the page (kernel: mm/rmap.c).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mmlocks.machine import Layout, Step, View, operation
from mmlocks.machine.step import Footprint, ViolationSignal, alive, touching
from mmlocks.machine.wire import travels
from mmlocks.mm.address import PAGE_SIZE
from mmlocks.mm.frames import Frame
from mmlocks.mm.rmap import AnonVma

if TYPE_CHECKING:
    from mmlocks.mm.mm import Mm
    from mmlocks.mm.vma import Vma


@travels
class Filing(NamedTuple):
    """Where a VMA files its new anonymous frames, and all anon_vmas that it is linked to."""

    vma: Vma
    anon_vma: AnonVma | None
    chain: tuple[AnonVma, ...]


def linear_page_index(pgoff: int, start: int, address: int) -> int:
    """The index under which the page at `address` of a VMA is filed, whatever that VMA's own start (include/linux/pagemap.h)."""
    return pgoff + (address - start) // PAGE_SIZE


def folio_add_new_anon_rmap(folio: Frame, vma: Vma, page: int, start: int) -> Step:
    """The step that files a new anonymous frame: in the VMA's anon_vma, under the index that the VMA gives the page.

    Kernel:  mm/rmap.c page_add_new_anon_rmap(), __page_set_anon_rmap().
    Locks:   the page-table lock of the entry that is about to show the frame; what keeps the VMA as it is.
    Races:   whoever moves vm_start and vm_pgoff, one after the other: `start` was read a step before. The index is right if both were read
             before or both after.
    """
    return Step("folio_add_new_anon_rmap", (folio, vma, page, start))


def page_try_dup_anon_rmap(folio: Frame, dst_vma: Vma) -> Step:
    """The step that counts one mapping more of an anonymous frame, by a child's VMA (include/linux/rmap.h).

    Whoever looks for the frame's mappings goes from its anon_vma to the VMAs that are linked to it. So `dst_vma` must be.
    """
    return Step("page_try_dup_anon_rmap", (folio, dst_vma))


def file_under(
    view: View, cpu: int, mm: Mm, folio: Frame, page: int, index: int, filed: Filing
) -> None:
    """For operations: file a frame, if whoever looks for it will find it there."""
    vma, anon_vma, chain = filed
    if anon_vma is None or anon_vma not in chain:
        raise ViolationSignal(
            "misfiled",
            f"cpu{cpu} maps {folio} at P{page} and files it in {anon_vma or 'no anon_vma'}, to which VMA {vma} is not linked: "
            "whoever wants to unmap the frame will not find this mapping",
        )
    wanted = mm.filed_under.get(page, index)
    if index != wanted:
        raise ViolationSignal(
            "misfiled",
            f"cpu{cpu} files {folio} (P{page}) under index {index}, and by VMA {vma} P{page} has index {wanted}, before and after it grows: "
            "whoever wants to unmap the frame will not find this mapping",
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
            f"cpu{cpu} maps {folio} in VMA {dst_vma} as well, which is not linked to {anon_vma}, where the frame is filed: "
            "whoever wants to unmap the frame will not find this mapping",
        )


operation("folio_add_new_anon_rmap", _file_touches, _file)
operation(
    "page_try_dup_anon_rmap",
    lambda layout, cpu, folio, dst_vma: touching(
        reads=[folio.mapping.index, dst_vma.anon_vma_chain.index]
    ),
    _dup,
)
