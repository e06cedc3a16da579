"""What the steps of frames do: allocate, copy, drop a reference."""

from __future__ import annotations

from mmlocks.errors import ScenarioTooSmall
from mmlocks.machine import Layout, View, operation
from mmlocks.machine.step import Footprint, ViolationSignal, touching
from mmlocks.mm.mm_types import FRAME_POISON, Frame, Mm


def use(view: View, cpu: int, frame: Frame, what: str) -> None:
    """Report a violation if `frame` has been freed. Every access to a frame's data comes here."""
    if view[frame.refcount.index] == 0:
        raise ViolationSignal(
            "freed_frame", f"cpu{cpu}: {what} {frame}, which has been freed (its count is 0)"
        )


def data_of(frames: list[Frame]) -> list[int]:
    """Cell indices of the frames' contents."""
    return [cell.index for frame in frames for cell in frame.data]


def counts_of(frames: list[Frame]) -> list[int]:
    """Cell indices of the frames' reference counts."""
    return [frame.refcount.index for frame in frames]


def _alloc_touches(layout: Layout, cpu: int, mm: Mm, page: int, old: Frame | None) -> Footprint:
    pool = mm.memory.pools.get((page, cpu), [])
    olds = [old] if old is not None else []
    translations = mm.tlb.entries((page,)) if mm.stale_at_copy and old is not None else []
    return touching(
        reads=[*counts_of(pool), *counts_of(olds), *data_of(olds), *translations],
        writes=[*counts_of(pool), *data_of(pool)],
    )


def _alloc(view: View, cpu: int, mm: Mm, page: int, old: Frame | None) -> Frame:
    free = [
        frame for frame in mm.memory.pools.get((page, cpu), []) if view[frame.refcount.index] == 0
    ]
    if view.layout.grows:
        free.append(mm.memory.new_frame())
    if not free:
        count = len(mm.memory.pools.get((page, cpu), []))
        raise ScenarioTooSmall(f"cpu{cpu} has no free frame left for P{page} (there were {count})")
    if old is not None:
        use(view, cpu, old, f"copies P{page} from")
        if mm.stale_at_copy:
            _watch_copy(view, cpu, mm, page, old)
    frame = free[0]
    view[frame.refcount.index] = 1
    for slot, cell in enumerate(frame.data):
        view[cell.index] = view[old.data[slot].index] if old is not None else 0
    return frame


def _watch_copy(view: View, cpu: int, mm: Mm, page: int, old: Frame) -> None:
    for other in range(view.layout.cpus):
        entry = view[mm.tlb.entry(other, page).index]
        if other != cpu and entry is not None and entry.write and entry.frame is old:
            raise ViolationSignal(
                "stale_copy",
                f"cpu{cpu} copies P{page} from {old} while cpu{other} can still write to {old} "
                f"through its TLB: what it writes from now on is lost",
            )


def _put(view: View, cpu: int, folio: Frame) -> None:
    count = view[folio.refcount.index]
    if count == 0:
        raise ViolationSignal(
            "freed_frame", f"cpu{cpu}: drops a reference to {folio}, which has been freed already"
        )
    view[folio.refcount.index] = count - 1
    if count == 1:
        for cell in folio.data:
            view[cell.index] = FRAME_POISON
        view[folio.index.index] = view[folio.mapping.index] = None


operation("alloc_folio", _alloc_touches, _alloc)
operation(
    "folio_put",
    lambda layout, cpu, folio: touching(
        reads=counts_of([folio]),
        writes=[*counts_of([folio]), *data_of([folio]), folio.index.index, folio.mapping.index],
    ),
    _put,
)
