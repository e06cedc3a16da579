"""Page tables: for each page an entry and the lock that protects it.

Kernel code changes an entry only under its lock. The hardware reads entries whenever it likes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mmlocks.errors import ModelError
from mmlocks.machine import Cell, Layout, Record, SpinLock, Step, View, operation
from mmlocks.machine.state import OnDemand
from mmlocks.machine.step import Footprint, ViolationSignal, touching
from mmlocks.machine.wire import travels
from mmlocks.mm.address import PAGE_SIZE, word
from mmlocks.mm.frames import Frame, data_of

if TYPE_CHECKING:
    from mmlocks.mm.mm import Mm


@travels
class Pte(NamedTuple):
    """A page-table entry that is present; an absent one is None.

    `none` is set while the memory is PROT_NONE: every access faults, though the frame stays. A writable entry counts as dirty,
    as a store has made it or will; so there is no dirty bit.
    """

    frame: Frame
    write: bool
    none: bool = False

    def __str__(self) -> str:
        return f"{self.frame} {'none' if self.none else 'rw' if self.write else 'ro'}"

    def wrprotected(self) -> Pte:
        """The same entry, read-only."""
        return self._replace(write=False)


class PageTable(Record):
    """One address space's entries: `pte[page]`, each protected by `ptl[page]`."""

    def __init__(self, layout: Layout, mm: str, pages: list[int]) -> None:
        super().__init__(layout, f"{mm}.page_table")
        self.pte: OnDemand[int, Cell[Pte | None]] = OnDemand(
            layout, lambda page: layout.cell(pte_name(mm, page), None, bits=5), pages
        )
        layout.read_only(self.pte.values())
        self.ptl = OnDemand(
            layout, lambda page: SpinLock(layout, f"{pte_name(mm, page)}.ptl"), pages
        )

    def pages(self, start: int, end: int) -> list[int]:
        """The pages in [start, end) (byte addresses) that can have an entry, in order."""
        first, last = start // PAGE_SIZE, end // PAGE_SIZE
        if last - first < len(self.pte):
            return [page for page in range(first, last) if page in self.pte]
        return sorted(page for page in self.pte if first <= page < last)


def pte_name(mm: str, page: int) -> str:
    """`P3` in the first address space, `child P3` in another."""
    return f"P{page}" if mm == "mm" else f"{mm} P{page}"


def set_pte_at(mm: Mm, page: int, entry: Pte | None) -> Step:
    """The step that stores an entry. The caller holds its lock (kernel: set_pte_at).

    The referee looks on: when the page table begins to show other contents than the program has stored, a store is lost,
    at this very step.
    """
    return Step("set_pte", (mm, page, entry))


def ptep_set_wrprotect(mm: Mm, page: int, entry: Pte) -> Step:
    """The step that makes an entry read-only, and touches no TLB. The caller holds its lock (kernel: ptep_set_wrprotect)."""
    return set_pte_at(mm, page, entry.wrprotected())


def _touches(layout: Layout, cpu: int, mm: Mm, page: int, entry: Pte | None) -> Footprint:
    truth = [cell.index for (of, _), cell in mm.truth.items() if of == page]
    seen = [*truth, *data_of([entry.frame])] if isinstance(entry, Pte) and truth else []
    pte = mm.page_table.pte[page].index
    return touching(reads=[pte, *seen], writes=[pte])


def _set_pte(view: View, cpu: int, mm: Mm, page: int, entry: Pte | None) -> None:
    fits = isinstance(entry, Pte) and (view.layout.grows or entry.frame in mm.memory.behind[page])
    if entry is not None and not fits:
        raise ModelError(
            f"a page-table entry for P{page} is None or Pte(frame, writable) with a frame set aside for it, not {entry}"
        )
    index = mm.page_table.pte[page].index
    before: Pte | None = view[index]
    view[index] = entry
    if entry is None or not mm.truth or (before is not None and before.frame is entry.frame):
        return
    for slot, cell in enumerate(entry.frame.data):
        found, stored = view[cell.index], view[mm.truth[page, slot].index]
        if found != stored:
            raise ViolationSignal(
                "lost_store",
                f"cpu{cpu} maps P{page} to {entry.frame}, where {word(page, slot)} is {found}. "
                f"The last completed store there wrote {stored}: that store is lost",
            )


operation("set_pte", _touches, _set_pte)
