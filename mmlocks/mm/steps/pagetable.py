"""What the step does that stores a page-table entry, and how the referee looks on."""

from __future__ import annotations

from mmlocks.errors import ModelError
from mmlocks.machine import Layout, View, operation
from mmlocks.machine.step import Footprint, ViolationSignal, touching
from mmlocks.mm.address import word
from mmlocks.mm.mm_types import Mm, Pte
from mmlocks.mm.steps.frames import data_of


def _touches(layout: Layout, cpu: int, mm: Mm, page: int, entry: Pte | None) -> Footprint:
    truth = [cell.index for (of, _), cell in mm.truth.items() if of == page]
    seen = [*truth, *data_of([entry.frame])] if isinstance(entry, Pte) and truth else []
    pte = mm.page_table.pte[page].index
    return touching(reads=[pte, *seen], writes=[pte])


def _set_pte(view: View, cpu: int, mm: Mm, page: int, entry: Pte | None) -> None:
    fits = isinstance(entry, Pte) and (view.layout.grows or entry.frame in mm.memory.behind[page])
    if entry is not None and not fits:
        raise ModelError(
            f"a page-table entry for P{page} is None or Pte(frame, writable) with a frame set "
            f"aside for it, not {entry}"
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
