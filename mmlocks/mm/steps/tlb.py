"""What the hardware does in one step: a load or store through a TLB, and a flush of all TLBs."""

from __future__ import annotations

from functools import partial
from typing import Any

from mmlocks.machine import Layout, View, operation
from mmlocks.machine.step import Footprint, ViolationSignal, touching
from mmlocks.mm.address import page_of, slot_of, word
from mmlocks.mm.mm_types import Mm, Pte
from mmlocks.mm.steps.frames import counts_of, use


def _translate(view: View, cpu: int, mm: Mm, page: int, write: bool) -> Pte | None:
    """The translation that the access uses, cached from now on.

    None for a page fault, which drops the cached one.
    """
    cached = mm.tlb.entry(cpu, page).index
    entry: Pte | None = view[cached]
    if entry is None or entry.none or (write and not entry.write):
        entry = view[mm.page_table.pte[page].index]  # a page walk
        if entry is not None and (entry.none or (write and not entry.write)):
            entry = None
        if view[cached] != entry:
            view[cached] = entry
    if entry is not None:
        use(view, cpu, entry.frame, f"accesses P{page} through its TLB in")
    return entry


def _access_touches(
    layout: Layout, cpu: int, mm: Mm, address: int, *value: Any, write: bool
) -> Footprint:
    page, slot = page_of(address), slot_of(address)
    frames = mm.memory.behind[page]
    cached = mm.tlb.entry(cpu, page).index
    data = [frame.data[slot].index for frame in frames]
    truth = [mm.truth[page, slot].index, mm.past[page, slot].index] if mm.truth else []
    history = [mm.history.index] if mm.history is not None else []
    told = [frame.dirty.index for frame in frames if write and frame.dirty is not None]
    return touching(
        reads=[
            cached,
            mm.page_table.pte[page].index,
            *counts_of(frames),
            *data,
            *truth,
            *told,
            *(history if write else ()),
        ],
        writes=[cached, *((*data, *truth, *history) if write else ())],
    )


def _complete_store(view: View, cpu: int, mm: Mm, entry: Pte, address: int, value: Any) -> None:
    page, slot = page_of(address), slot_of(address)
    told = entry.frame.dirty
    if told is not None and not view[told.index]:
        raise ViolationSignal(
            "unnoticed_store",
            f"cpu{cpu} stores {word(page, slot)} = {value} into {entry.frame}, and the file system "
            "was never told that this page is being written to: what was stored will never reach "
            "the disk",
        )
    view[entry.frame.data[slot].index] = value
    if mm.truth:
        view[mm.truth[page, slot].index] = value
        past = mm.past[page, slot].index
        if value not in view[past]:
            view[past] = (*view[past], value)
    if mm.history is not None:
        view[mm.history.index] = (*view[mm.history.index], (page, slot, value))


def _see(view: View, cpu: int, mm: Mm, entry: Pte, address: int) -> Any:
    """The value in memory, which must be the one stored last."""
    page, slot = page_of(address), slot_of(address)
    value = view[entry.frame.data[slot].index]
    if mm.truth:
        stored = view[mm.truth[page, slot].index]
        if value != stored:
            raise ViolationSignal(
                "lost_store",
                f"cpu{cpu} reads {word(page, slot)} = {value} from {entry.frame}, but the last "
                f"completed store there wrote {stored}: the store was lost",
            )
    return value


def _store(view: View, cpu: int, mm: Mm, address: int, value: Any) -> bool:
    entry = _translate(view, cpu, mm, page_of(address), write=True)
    if entry is None:
        return False
    _complete_store(view, cpu, mm, entry, address, value)
    return True


def _load(view: View, cpu: int, mm: Mm, address: int) -> tuple[Any, ...]:
    entry = _translate(view, cpu, mm, page_of(address), write=False)
    return () if entry is None else (_see(view, cpu, mm, entry, address),)


def _fetch_add(view: View, cpu: int, mm: Mm, address: int, n: int) -> tuple[Any, ...]:
    entry = _translate(view, cpu, mm, page_of(address), write=True)
    if entry is None:
        return ()
    value = _see(view, cpu, mm, entry, address)
    _complete_store(view, cpu, mm, entry, address, value + n)
    return (value,)


def _flush(view: View, cpu: int, mm: Mm, pages: tuple[int, ...] | None) -> None:
    for index in mm.tlb.entries(pages):
        if view[index] is not None:
            view[index] = None


operation("mmu_store", partial(_access_touches, write=True), _store)
operation("mmu_load", partial(_access_touches, write=False), _load)
operation("mmu_fetch_add", partial(_access_touches, write=True), _fetch_add)
operation(
    "flush_tlb",
    lambda layout, cpu, mm, pages: touching(
        reads=mm.tlb.entries(pages), writes=mm.tlb.entries(pages)
    ),
    _flush,
)
