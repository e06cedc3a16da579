"""An address space: its VMAs, its page table, its locks, and what the oracles remember of it."""

from __future__ import annotations

from typing import Any

from mmlocks.machine import Cell, Layout, Rcu, Record, RwSem, SpinLock
from mmlocks.machine.pool import Pool
from mmlocks.mm.address import PAGE_SIZE
from mmlocks.mm.area import Limits
from mmlocks.mm.frames import Memory
from mmlocks.mm.maple import MapleTree
from mmlocks.mm.pagecache import File
from mmlocks.mm.pagetable import PageTable, Pte
from mmlocks.mm.tlb import Tlb
from mmlocks.mm.rmap import AnonVma
from mmlocks.mm.vm_flags import VM_ACCOUNT, VM_MAY_ACCESS, VM_READ, VM_WRITE
from mmlocks.mm.vma import SPARE, USED, Vma

SMALL = Limits(mmap_base=0x40_000, task_size=0x50_000, mmap_min_addr=0x1000, stack_guard_gap=0x1000, rlimit_stack=0x8000)
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
      brk                mmap_lock for writing; the end of the heap, which begins at limits.start_brk
      page_table_lock    -
      page_table         each entry by its own lock; the hardware reads without one

    `truth` holds, for every word, the value of the last completed store: what a program may rely on. `past` holds all
    values that the word has had, each once. `history` lists
    completed stores in their order, where a scenario asks for it. Both are the oracles', no kernel function reads them.
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

    def _called(self, field: str) -> str:
        return field if self.name == "mm" else f"{self.name}.{field}"

    def __repr__(self) -> str:
        return self.name

    # -- building a program's first state -------------------------------------------------------------------------

    def map(
        self,
        name: str,
        first: int,
        last: int,
        faulted: bool = True,
        flags: int = VM_READ | VM_WRITE | VM_MAY_ACCESS | VM_ACCOUNT,
        file: File | None = None,
        pgoff: int | None = None,
    ) -> Vma:
        """A VMA over the pages `first` to `last`, there from the start of a search."""
        vma = Vma(self, self.layout, name)
        chain = tuple(vma.spare_anon_vmas) if faulted else ()
        self.settle(vma, first * PAGE_SIZE, (last + 1) * PAGE_SIZE, flags, file, first if pgoff is None else pgoff, chain)
        self.vmas.append(vma)
        self.vmas.sort(key=lambda vma: vma.vm_start.of(self.layout.initial))
        self.layout.preset(self.map_count, len(self.vmas))
        self.mm_mt.hold(self.vmas)
        return vma

    def settle(
        self, vma: Vma, start: int, end: int, flags: int, file: File | None, pgoff: int, chain: tuple[AnonVma, ...]
    ) -> None:
        """Set the fields of a VMA that has been there for a while when the program begins. The tree is the caller's to fill."""
        values = (
            (vma.vm_start, start), (vma.vm_end, end), (vma.vm_pgoff, pgoff), (vma.vm_flags, flags), (vma.vm_file, file),
            (vma.anon_vma, chain[-1] if chain else None), (vma.anon_vma_chain, chain),
            (vma.vm_lock_seq, FORKED_BEFORE - 1), (vma.life, USED),
        )  # fmt: skip
        for cell, value in values:
            self.layout.preset(cell, value)
        for anon_vma in chain:
            self.layout.preset(anon_vma.refcount, 1)

    def spare(self, name: str) -> Vma:
        """A VMA that may be allocated while the program runs."""
        return self.spare_vmas.add(Vma(self, self.layout, name))

    def may_change(self, nodes: int, vmas: int = 0) -> None:
        """Let a search's program change the tree: `nodes` to build, `vmas` to allocate, and every VMA may be freed.

        Without this the layout stays as it is, and RCU readers stay out of each other's way.
        """
        self.spare_vmas.set_aside(vmas)
        self.mm_mt.set_aside(nodes)
        for vma in (*self.vmas, *self.spare_vmas):
            self.rcu.may_free(vma)

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
