"""The hardware: a translation look-aside buffer per CPU, and the loads and stores that go through it.

A TLB remembers translations. Only a flush, or a store that its CPU may not make by it (which looks at the page table again),
removes one: making a page-table entry
read-only does not. A CPU that stored to a page can therefore go on storing to its old frame until somebody flushes.

Differs: translations are never evicted by themselves, and a flush reaches all CPUs in one step (Linux sends interrupts and waits
for all of them; each CPU's flush can be thought of as happening at that moment).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from mmlocks.machine import Cell, Layout, Record, Step, View, operation
from mmlocks.machine.state import OnDemand
from mmlocks.machine.step import Footprint, ViolationSignal, touching
from mmlocks.mm.address import page_of, slot_of, word
from mmlocks.mm.frames import counts_of, use
from mmlocks.mm.pagetable import Pte

if TYPE_CHECKING:
    from mmlocks.mm.mm import Mm


class Tlb(Record):
    """The translations that each CPU has cached of one address space."""

    def __init__(self, layout: Layout, mm: str, pages: list[int]) -> None:
        super().__init__(layout, f"{mm}.tlb")
        self._cpus = range(layout.cpus)
        self.cached: OnDemand[tuple[int, int], Cell[Pte | None]] = OnDemand(
            layout,
            lambda key: layout.cell(tlb_name(mm, *key), None, bits=5),
            [(cpu, page) for cpu in range(layout.cpus) for page in pages],
        )
        layout.hide(self.cached.values())

    def entry(self, cpu: int, page: int) -> Cell[Pte | None]:
        """What `cpu` has cached for `page`."""
        return self.cached[cpu, page]

    def entries(self, pages: tuple[int, ...] | None = None) -> list[int]:
        """Cell indices of all CPUs' translations of some pages, or of every page."""
        if pages is None:
            return [cell.index for cell in self.cached.values()]
        return [self.cached[cpu, page].index for cpu in self._cpus for page in pages]


def tlb_name(mm: str, cpu: int, page: int) -> str:
    """`tlb1 P3` in the first address space."""
    return f"tlb{cpu} P{page}" if mm == "mm" else f"{mm} tlb{cpu} P{page}"


def mmu_store(mm: Mm, address: int, value: Any) -> Step:
    """The step of a store instruction: True if it was completed, False if it faulted."""
    return Step("mmu_store", (mm, address, value))


def mmu_load(mm: Mm, address: int) -> Step:
    """The step of a load instruction: the value in a tuple, or () if it faulted."""
    return Step("mmu_load", (mm, address))


def mmu_fetch_add(mm: Mm, address: int, n: int) -> Step:
    """The step of an atomic add (x86 `lock xadd`): the value before in a tuple, or () if it faulted."""
    return Step("mmu_fetch_add", (mm, address, n))


def flush_tlb_mm(mm: Mm) -> Step:
    """The step that drops all translations of an address space on all CPUs (arch/x86/mm/tlb.c)."""
    return Step("flush_tlb", (mm, None))


def flush_tlb_page(mm: Mm, page: int) -> Step:
    """The step that drops the translations of one page on all CPUs (arch/x86/mm/tlb.c)."""
    return Step("flush_tlb", (mm, (page,)))


def flush_tlb_pages(mm: Mm, pages: tuple[int, ...]) -> Step:
    """The step that drops the translations of some pages on all CPUs (arch/x86/mm/tlb.c flush_tlb_mm_range)."""
    return Step("flush_tlb", (mm, pages))


def _translate(view: View, cpu: int, mm: Mm, page: int, write: bool) -> Pte | None:
    """The translation that the access uses, cached from now on; None for a page fault, which drops the cached one."""
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
            f"cpu{cpu} stores {word(page, slot)} = {value} into {entry.frame}, and the file system was never told that this page is being "
            "written to: what was stored will never reach the disk",
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
                f"cpu{cpu} reads {word(page, slot)} = {value} from {entry.frame}, but the last completed store there wrote "
                f"{stored}: the store was lost",
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
