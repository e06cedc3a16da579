"""An address space: its VMAs, its page table, its locks, and what the oracles remember of it."""

from __future__ import annotations

from typing import Any

from mmlocks.machine import Cell, Layout, Rcu, Record, RwSem, SpinLock
from mmlocks.mm.address import PAGE_SIZE
from mmlocks.mm.frames import Memory
from mmlocks.mm.pagetable import PageTable, Pte
from mmlocks.mm.tlb import Tlb
from mmlocks.mm.vma import Vma

Ranges = tuple[tuple[int, int, Vma], ...]
"""The VMA tree as one value: (start, end, vma), ordered and disjoint."""


def tree_text(ranges: Ranges) -> str:
    """`a tree of heap [0x3000, 0x5000), stack [0x7000, 0x8000)`."""
    return "a tree of " + (
        ", ".join(f"{vma} [{start:#x}, {end:#x})" for start, end, vma in ranges) or "nothing"
    )


FORKED_BEFORE = 3
"""mm_lock_seq at the start: this process has been write-locked before, as any that ran for a while. A fix must not live on the first time."""


class Mm(Record):
    """One address space (kernel: struct mm_struct).

    Fields and what protects them:
      mmap_lock          -
      mm_mt              writes: mmap_lock for writing; reads: mmap_lock, or an RCU read section
      mm_lock_seq        writes: mmap_lock for writing
      page_table_lock    -
      page_table         each entry by its own lock; the hardware reads without one

    `truth` holds, for every word, the value of the last completed store: what a program may rely on. `past` holds all
    values that the word has had, each once. `history` lists
    completed stores in their order, where a scenario asks for it. Both are the oracles', no kernel function reads them.
    """

    def __init__(self, layout: Layout, memory: Memory, rcu: Rcu, pages: list[int], name: str = "mm") -> None:
        super().__init__(layout, name)
        self.layout = layout
        self.memory = memory
        self.rcu = rcu
        self.pages = pages
        self.mmap_lock = RwSem(layout, self._called("mmap_lock"))
        self.mm_lock_seq = layout.counter(self._called("mm_lock_seq"), FORKED_BEFORE, bits=4)
        self.mm_mt: Cell[Ranges] = layout.cell(self._called("mm_mt"), (), bits=5)
        self.mm_mt.show = tree_text
        self.page_table_lock = SpinLock(layout, self._called("page_table_lock"))
        self.page_table = PageTable(layout, name, pages)
        self.tlb = Tlb(layout, name, pages)
        self.vmas: list[Vma] = []
        self.spare_vmas: list[Vma] = []
        self.truth: dict[tuple[int, int], Cell[Any]] = {}
        self.past: dict[tuple[int, int], Cell[tuple[Any, ...]]] = {}
        self.history: Cell[tuple[tuple[int, int, Any], ...]] | None = None
        self.stale_at_copy = False

    def _called(self, field: str) -> str:
        return field if self.name == "mm" else f"{self.name}.{field}"

    def __repr__(self) -> str:
        return self.name

    # -- building a program's first state -------------------------------------------------------------------------

    def map(self, name: str, first: int, last: int, faulted: bool = True) -> Vma:
        """A VMA over the pages `first` to `last`, there from the start."""
        vma = Vma(self, self.layout, name, first * PAGE_SIZE, (last + 1) * PAGE_SIZE)
        if faulted:
            self.layout.preset(vma.anon_vma, vma.own_anon_vma)
        self.layout.preset(vma.vm_lock_seq, FORKED_BEFORE - 1)
        self.vmas.append(vma)
        ranges = tuple(
            (vma.vm_start.of(self.layout.initial), vma.vm_end.of(self.layout.initial), vma)
            for vma in self.vmas
        )
        self.layout.preset(self.mm_mt, ranges)
        return vma

    def spare(self, name: str) -> Vma:
        """A VMA that `vm_area_dup` may allocate."""
        vma = Vma(self, self.layout, name)
        self.spare_vmas.append(vma)
        return vma

    def populate(self, page: int, values: tuple[Any, ...] | None, cached_by: tuple[int, ...] = ()) -> None:
        """Back `page` with a frame that holds `values` (None: not touched yet); these CPUs have stored to it before."""
        frame = self.memory.add_page(page, values)
        entry = None if frame is None else Pte(frame, True)
        self.layout.preset(self.page_table.pte[page], entry)
        for cpu in cached_by:
            self.layout.preset(self.tlb.entry(cpu, page), entry)
        for slot in range(self.memory.slots):
            value = values[slot] if values is not None else 0
            self.truth[page, slot] = self.layout.cell(f"truth P{page}[{slot}]", value, bits=3)
            self.past[page, slot] = self.layout.cell(f"past P{page}[{slot}]", (value,), bits=5)
        self.layout.hide([*self.truth.values(), *self.past.values()])

    def remember_history(self) -> None:
        """Keep the order of completed stores, for the snapshot oracle."""
        self.history = self.layout.cell("history", (), bits=8)
        self.layout.hide([self.history])
