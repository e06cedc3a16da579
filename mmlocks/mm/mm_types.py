"""The types that every file names, in one place as in Linux's mm_types.h.

From the memory upwards: frames and files; page tables and TLBs; VMAs; the address space. Each
docstring says which lock protects which field. What steps do to them stands in `steps`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from mmlocks.machine import Cell, Layout, Rcu, Record, RwSem, SpinLock, Step, View
from mmlocks.machine.pool import Pool
from mmlocks.machine.rcu import Reclaimable
from mmlocks.machine.state import OnDemand, Poison
from mmlocks.machine.wire import travels
from mmlocks.mm.address import PAGE_SIZE, Limits
from mmlocks.mm.maple_node import MapleTree
from mmlocks.mm.vm_flags import flags_text

# -- memory and files -------------------------------------------------------------------------

FRAME_POISON: Any = "freed"
"""What a frame holds before it is allocated and after it is freed."""


class AnonVma(Record):
    """Where a family of VMAs files its anonymous frames (kernel: struct anon_vma; see rmap).

    `refcount` is the number of VMAs linked to it; the last one to leave frees it.

    Differs: it has no lock (kernel: root->rwsem). Only a walk from an anonymous frame to its VMAs
    would need that lock, and no function here makes one. tests/mm/test_rmap_locks.py makes one,
    and shows what it then misses.
    """

    def __init__(self, layout: Layout, name: str) -> None:
        super().__init__(layout, name)
        self.refcount = layout.counter(f"{name}.refcount", 0, bits=4)
        self.freed: Cell[bool] = layout.cell(f"{name}.freed", False, bits=1)
        layout.read_only([self.refcount])
        layout.hide([self.freed])

    def get(self) -> Step:
        """The step that links one more VMA (get_anon_vma)."""
        return Step("anon_vma_get", (self,))

    def put(self) -> Step:
        """The step that unlinks a VMA (put_anon_vma)."""
        return Step("anon_vma_put", (self,))


class Frame(Record):
    """A page of physical memory (kernel: struct folio of order 0).

    An `anonymous` frame belongs to the VMAs that map it; the zero frame and those of files do not.
    It is filed in an anon_vma, `mapping`, under `index` (see rmap).
    """

    def __init__(
        self, layout: Layout, name: str, slots: int, anonymous: bool = True, notified: bool = False
    ) -> None:
        super().__init__(layout, name)
        self.anonymous = anonymous
        # Room for a reference from every CPU and every page table at once.
        self.refcount = layout.counter(f"{name}.refcount", 0, bits=4)
        self.data = tuple(
            layout.cell(f"{name}[{slot}]", FRAME_POISON, bits=3) for slot in range(slots)
        )
        layout.hide(self.data)
        self.index: Cell[int | None] = layout.cell(f"{name}.index", None, bits=3)
        self.mapping: Cell[AnonVma | None] = layout.cell(f"{name}.mapping", None, bits=3)
        layout.read_only([self.index, self.mapping])
        # Only frames of files that are notified of stores need it.
        self.dirty: Cell[bool] | None = (
            layout.cell(f"{name}.dirty", False, bits=1) if notified else None
        )


class Memory(Record):
    """All frames of a machine: the zero frame, and the frames that each page may ever map.

    `pools[page, cpu]` are the frames that `cpu` may allocate for `page`. They are set aside, so
    that allocations on different CPUs do not disturb each other (Linux: per-CPU page lists).
    `behind[page]` are all frames that the page can map. Where memory is short, a page of the file
    `reclaimable` is taken from all its users before a frame is allocated.
    """

    def __init__(self, layout: Layout, slots: int, name: str = "memory") -> None:
        super().__init__(layout, name)
        self.layout = layout
        self.slots = slots
        self.frames: list[Frame] = []
        self.zero = self.new_frame("zero", count=1, values=(0,) * slots)
        self.behind: dict[int, list[Frame]] = {}
        self.pools: dict[tuple[int, int], list[Frame]] = {}
        self.reclaimable: File | None = None

    def new_frame(
        self,
        name: str | None = None,
        count: int = 0,
        values: tuple[Any, ...] = (),
        notified: bool = False,
    ) -> Frame:
        """One more frame, in use from the start if `count` is not 0. A file's frame has a name."""
        called = name or f"F{len(self.frames)}"
        frame = Frame(self.layout, called, self.slots, anonymous=name is None, notified=notified)
        if name is None:
            self.frames.append(frame)
        self.layout.preset(frame.refcount, count)
        for cell, value in zip(frame.data, values, strict=False):
            self.layout.preset(cell, value)
        return frame


class File(Record):
    """A file of `pages` pages that can be mapped (kernel: struct file with its address_space).

    All pages are in memory (the page cache), which holds the first reference to each frame. A
    page's frame never changes. `words(page)` are a page's first words.

    `notified`: the file system must be told of the first store to each page, so that it can make
    room on the disk and write the page back one day (kernel: page_mkwrite). `i_mmap` holds the
    VMAs that map the file, protected by `i_mmap_rwsem`. VMAs are write-locked before that lock is
    taken, not after.

    Differs: a page has no lock of its own (kernel: folio_lock); see rmap_walk_file. `i_mmap` is a
    tuple in the order in which VMAs were added; vma_interval_tree_foreach sorts it.
    """

    def __init__(
        self,
        layout: Layout,
        memory: Memory,
        name: str,
        pages: int,
        words: Callable[[int], tuple[Any, ...]],
        notified: bool = False,
    ) -> None:
        super().__init__(layout, name)
        self.pages = pages
        self.notified = notified
        self.i_mmap_rwsem = RwSem(layout, f"{name}.i_mmap_rwsem")
        self.i_mmap: Cell[tuple[Vma, ...]] = layout.cell(f"{name}.i_mmap", (), bits=5)
        self.i_mmap.show = lambda vmas: ", ".join(map(str, vmas)) or "empty"
        self._memory = memory
        self._words = words
        self._frames: dict[int, Frame] = {}
        # A search needs all frames in advance. One CPU alone makes those that it looks at.
        for page in range(0 if layout.grows else pages):
            self.frame(page)

    def frame(self, page: int) -> Frame | None:
        """The frame of a page; None beyond the file's end."""
        if page >= self.pages:
            return None
        if page not in self._frames:
            self._frames[page] = self._memory.new_frame(
                f"{self.name} page {page}",
                count=1,
                values=self._words(page),
                notified=self.notified,
            )
        return self._frames[page]


# -- translations -----------------------------------------------------------------------------


@travels
class Pte(NamedTuple):
    """A page-table entry that is present; an absent one is None.

    `none` is set while the memory is PROT_NONE: every access faults, though the frame stays. The
    model has no dirty bit: a writable entry counts as dirty, as a store has made it or will.
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
    """One address space's entries: `pte[page]`, each protected by its lock `ptl[page]`."""

    def __init__(self, layout: Layout, mm: str, pages: list[int]) -> None:
        super().__init__(layout, f"{mm}.page_table")
        space = "" if mm == "mm" else f"{mm} "
        self.pte: OnDemand[int, Cell[Pte | None]] = OnDemand(
            layout, lambda page: layout.cell(f"{space}P{page}", None, bits=5), pages
        )
        layout.read_only(self.pte.values())
        self.ptl = OnDemand(layout, lambda page: SpinLock(layout, f"{space}P{page}.ptl"), pages)

    def pages(self, start: int, end: int) -> list[int]:
        """The pages in [start, end) (byte addresses) that can have an entry, in order."""
        first, last = start // PAGE_SIZE, end // PAGE_SIZE
        if last - first < len(self.pte):
            return [page for page in range(first, last) if page in self.pte]
        return sorted(page for page in self.pte if first <= page < last)


class Tlb(Record):
    """The translations that each CPU has cached of one address space (see tlb)."""

    def __init__(self, layout: Layout, mm: str, pages: list[int]) -> None:
        super().__init__(layout, f"{mm}.tlb")
        space = "" if mm == "mm" else f"{mm} "
        self._cpus = range(layout.cpus)
        self.cached: OnDemand[tuple[int, int], Cell[Pte | None]] = OnDemand(
            layout,
            lambda key: layout.cell(f"{space}tlb{key[0]} P{key[1]}", None, bits=5),
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


# -- areas ------------------------------------------------------------------------------------

NEVER_LOCKED = -1
SPARE, USED, FREED = "spare", "used", "freed"


class Vma(Reclaimable):
    """A virtual memory area: addresses with one set of rules (kernel: struct vm_area_struct).

    Fields and what protects a write to them (Documentation/mm/process_addrs.rst):
      vm_start, vm_end, vm_pgoff   mmap_lock and the VMA lock, both for writing
      vm_flags                     mmap_lock and the VMA lock, both for writing
      vm_page_prot                 mmap_lock and the VMA lock, both for writing. Here one bit: may
                                   a load's entry be writable from the start? Only files need it
      vm_file                      set before the tree shows the VMA, never changed; None for
                                   anonymous memory
      anon_vma                     from None: mmap_lock for reading and page_table_lock;
                                   to None: both locks for writing
      anon_vma_chain               as anon_vma; all anon_vmas in which pages of this VMA may be
                                   filed, the parents' first
      vm_lock_seq                  vm_lock for writing; "write-locked" if equal to mm.mm_lock_seq
      detached                     the VMA lock for writing

    `life` says whether the object is in use; no kernel function reads it.
    """

    def __init__(self, mm: Mm, layout: Layout, name: str, start: int = 0, end: int = 0) -> None:
        super().__init__(layout, name)
        self.layout = layout
        self.vm_mm = mm
        self.vm_start: Cell[int] = layout.cell(f"{name}.vm_start", start, bits=3)
        self.vm_end: Cell[int] = layout.cell(f"{name}.vm_end", end, bits=3)
        self.vm_start.show = self.vm_end.show = hex
        self.vm_pgoff: Cell[int] = layout.cell(f"{name}.vm_pgoff", start // PAGE_SIZE, bits=3)
        self.vm_flags: Cell[int] = layout.cell(f"{name}.vm_flags", 0, bits=3)
        self.vm_flags.show = flags_text
        self.vm_page_prot: Cell[bool] = layout.cell(f"{name}.vm_page_prot", False, bits=2)
        self.vm_page_prot.show = lambda writable: "rw" if writable else "ro"
        self.vm_file: Cell[File | None] = layout.cell(f"{name}.vm_file", None, bits=2)
        self.vm_flags.aside = self.vm_file.aside = self.vm_page_prot.aside = True
        self.anon_vma: Cell[AnonVma | None] = layout.cell(f"{name}.anon_vma", None, bits=3)
        self.anon_vma_chain: Cell[tuple[AnonVma, ...]] = layout.cell(
            f"{name}.anon_vma_chain", (), bits=3
        )
        self.spare_anon_vmas: Pool[AnonVma] = Pool(
            layout,
            f"anon_vma of {name}",
            lambda number: AnonVma(layout, f"anon_vma({name})" + (f".{number}" if number else "")),
            lambda view, anon_vma: (
                view[anon_vma.refcount.index] == 0 and not view[anon_vma.freed.index]
            ),
        )
        self.spare_anon_vmas.set_aside(0 if layout.grows else 1)
        self.poison = Poison("freed_vma", f"VMA {name}")
        self.vm_lock = RwSem(layout, f"{name}.vm_lock", self.poison)
        self.vm_lock_seq: Cell[int] = layout.cell(f"{name}.vm_lock_seq", NEVER_LOCKED, bits=4)
        self.detached: Cell[bool] = layout.cell(f"{name}.detached", False, bits=2)
        self.life: Cell[str] = layout.cell(f"{name}.life", SPARE, bits=2)
        layout.hide([self.life])

    def content(self) -> tuple[Cell[Any], ...]:
        """The cells that say what the VMA is, in the order of `Fields`."""
        numbers = (self.vm_start, self.vm_end, self.vm_pgoff, self.vm_flags)
        return (*numbers, self.vm_file, self.anon_vma, self.anon_vma_chain, self.vm_page_prot)

    def fields(self) -> tuple[Cell[Any], ...]:
        """The cells that an allocation sets and a free poisons: `life` first, the lock last."""
        lock = (self.vm_lock_seq, self.detached, self.vm_lock.writer)
        return (self.life, *self.content(), *lock)

    def cells(self) -> Iterable[Cell[Any]]:
        """What `reclaim` touches."""
        return (*self.fields(), *self.vm_lock.cells())

    def reclaim(self, view: View) -> None:
        """Free the object (kernel: vm_area_free_rcu_cb, which insists that its lock is free)."""
        self.vm_lock.free(view)
        for cell in self.fields()[1:-1]:
            view[cell.index] = self.poison
        view[self.life.index] = FREED
        self.vm_mm.spare_vmas.give_back(self)


@travels
class Fields(NamedTuple):
    """What a VMA is, read in one look while a lock keeps others from changing it (see vma)."""

    vma: Vma
    start: int
    end: int
    pgoff: int
    flags: int
    file: File | None
    anon_vma: AnonVma | None
    chain: tuple[AnonVma, ...]
    page_prot: bool


# -- the address space ------------------------------------------------------------------------

SMALL = Limits(
    mmap_base=0x40_000,
    task_size=0x50_000,
    mmap_min_addr=0x1000,
    stack_guard_gap=0x1000,
    rlimit_stack=0x8000,
)
"""The limits of a process in a search: an address space of a few pages."""

FORKED_BEFORE = 3
"""mm_lock_seq at the start: the process has been write-locked before, as any that ran for a while.
So a fix that works only the first time is found."""


class Mm(Record):
    """One address space (kernel: struct mm_struct).

    Fields and what protects a write to them:
      mmap_lock        -
      mm_mt            the tree of VMAs: see MapleTree
      map_count        mmap_lock for writing; how many VMAs the tree holds
      mm_lock_seq      mmap_lock for writing
      mm_seq           mmap_lock for writing; odd while that is held (speculative faults only;
                       mmap_seq there)
      brk              mmap_lock for writing (brk(2) does so; prctl(2), which is not here, does
                       not); the end of the heap, which begins at limits.start_brk
      page_table_lock  -
      page_table       each entry by its own lock; the hardware reads without one

    `vmas` exist when a program begins; `spare_vmas` may be allocated.

    The oracles have fields of their own, which no kernel function reads. For every word, `truth`
    is the value of the last completed store, which a program may rely on, and `past` holds each
    value that the word has had. `history` lists all completed stores in order, if a scenario asks
    for it. `filed_under` gives each page its one right index, in worlds that move no VMA.
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
        self.mm_mt: MapleTree[Vma] = MapleTree(layout, rcu, self._called("mm_mt"), in_rcu=known)
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
