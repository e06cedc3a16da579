"""An address space: its VMAs, its page table, its locks, and what the oracles remember of it."""

from __future__ import annotations

from typing import Any

from mmlocks.machine import Cell, Layout, Rcu, Record, RwSem, SpinLock
from mmlocks.machine.pool import Pool
from mmlocks.mm.area import Limits
from mmlocks.mm.frames import Memory
from mmlocks.mm.maple_node import MapleTree
from mmlocks.mm.pagetable import PageTable
from mmlocks.mm.tlb import Tlb
from mmlocks.mm.vma import SPARE, Vma

SMALL = Limits(
    mmap_base=0x40_000,
    task_size=0x50_000,
    mmap_min_addr=0x1000,
    stack_guard_gap=0x1000,
    rlimit_stack=0x8000,
)
"""The limits of a process in a search: an address space of a few pages."""

FORKED_BEFORE = 3
"""mm_lock_seq at the start: this process has been write-locked before, as any that ran for a while. A fix must not live on the first time."""


class Mm(Record):
    """One address space (kernel: struct mm_struct).

    Fields and what protects them:
      mmap_lock          -
      mm_mt              the tree of VMAs: see there
      map_count          mmap_lock for writing; how many VMAs the tree holds
      mm_lock_seq        writes: mmap_lock for writing
      mm_seq             writes: mmap_lock for writing; odd while that is held (speculative faults only, and mmap_seq there)
      brk                mmap_lock for writing (so brk(2); prctl(2), which is not here, does otherwise); the end of the heap, which begins
                         at limits.start_brk
      page_table_lock    -
      page_table         each entry by its own lock; the hardware reads without one

    `vmas` are there when a program begins; `spare_vmas` may be allocated. `truth` holds, for every word, the value of the last completed store: what a program may rely on. `past` holds all
    values that the word has had, each once. `history` lists
    completed stores in their order, where a scenario asks for it. `filed_under` is each page's one right index, in worlds that move no VMA. All are the oracles', no kernel function reads them.
    """

    def __init__(
        self,
        layout: Layout,
        memory: Memory,
        rcu: Rcu,
        pages: list[int],
        name: str = "mm",
        limits: Limits = SMALL,
        known: bool = True,
    ) -> None:
        super().__init__(layout, name)
        self.limits = limits
        self.layout = layout
        self.memory = memory
        self.rcu = rcu
        self.pages = pages
        self.mmap_lock = RwSem(layout, self._called("mmap_lock"))
        self.mm_lock_seq = layout.counter(self._called("mm_lock_seq"), FORKED_BEFORE, bits=4)
        self.mm_seq = layout.counter(self._called("mm_seq"), 2 * FORKED_BEFORE, bits=6)
        self.mm_mt = MapleTree(layout, rcu, self._called("mm_mt"), in_rcu=known)
        self.map_count = layout.counter(self._called("map_count"), 0, bits=4)
        self.brk: Cell[int] = layout.cell(self._called("brk"), limits.brk, bits=3)
        self.page_table_lock = SpinLock(layout, self._called("page_table_lock"))
        self.page_table = PageTable(layout, name, pages)
        self.tlb = Tlb(layout, name, pages)
        self.vmas: list[Vma] = []
        self.spare_vmas: Pool[Vma] = Pool(
            layout,
            f"VMA of {name}",
            lambda number: Vma(self, layout, self._called(f"vma{number}")),
            lambda view, vma: view[vma.life.index] == SPARE,
        )
        self.truth: dict[tuple[int, int], Cell[Any]] = {}
        self.past: dict[tuple[int, int], Cell[tuple[Any, ...]]] = {}
        self.history: Cell[tuple[tuple[int, int, Any], ...]] | None = None
        self.stale_at_copy = False
        self.filed_under: dict[int, int] = {}

    def _called(self, field: str) -> str:
        return field if self.name == "mm" else f"{self.name}.{field}"

    def __repr__(self) -> str:
        return self.name
