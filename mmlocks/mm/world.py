"""A machine with memory as a program begins: a process, its address space, room for a child."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mmlocks.errors import ModelError
from mmlocks.machine import Layout, Rcu, Record
from mmlocks.mm.address import PAGE_SIZE
from mmlocks.mm.maple_node import END, SLOTS, Ranges
from mmlocks.mm.mm_types import FORKED_BEFORE, USED, AnonVma, File, Memory, Mm, Pte, Vma
from mmlocks.mm.pagecache import writable_from_the_start
from mmlocks.mm.vm_flags import VM_ACCOUNT, VM_GROWSDOWN, VM_MAY_ACCESS, VM_READ, VM_WRITE

PRIVATE = VM_READ | VM_WRITE | VM_MAY_ACCESS | VM_ACCOUNT
"""Flags of private anonymous memory that may be read and written."""
STACK = PRIVATE | VM_GROWSDOWN


class World(Record):
    """What a scenario builds on: `layout`, `memory`, the process's `mm`, an empty `child` for fork.

    `children` are all address spaces that forks may fill: `child`, and those of `another_child`.

    `pages[n]` are the values that page n holds at the start, or None if it was never touched.
    `faulting[cpu]` are the pages on which that CPU may take a fault; it gets `frames` frames for
    each. `cached[cpu]` are the pages that it has stored to already, so its TLB knows them as
    writable. The `referee` keeps account of completed stores; worlds that take pages away must do
    without. If `forks` is false, there are no VMAs for a child, so fork is impossible.
    """

    def __init__(
        self,
        cpus: int,
        pages: Mapping[int, tuple[Any, ...] | None],
        faulting: Mapping[int, Iterable[int]],
        cached: Mapping[int, Iterable[int]],
        slots: int = 2,
        frames: int = 1,
        referee: bool = True,
        forks: bool = True,
    ) -> None:
        self.layout = Layout(cpus)
        super().__init__(self.layout, "world")
        self.pages = sorted(pages)
        self.slots = slots
        self.referee = referee
        self.forks = forks
        self.rcu = Rcu(self.layout)
        self.memory = Memory(self.layout, slots)
        self.files: dict[str, File] = {}
        self.mm = Mm(self.layout, self.memory, self.rcu, self.pages)
        self.child = self._child("child")
        self.children = [self.child]
        self.to_store: tuple[tuple[int, int, Any], ...] = ()
        """What programs must have stored before they end, as (page, slot, value), if known."""
        for page in self.pages:
            self._populate(
                page, pages[page], [cpu for cpu in range(cpus) if page in cached.get(cpu, ())]
            )
        for cpu, touched in faulting.items():
            for page in touched:
                pool = [self.memory.new_frame() for _ in range(frames)]
                self.memory.pools[page, cpu] = pool
                self.memory.behind[page].extend(pool)

    def _populate(self, page: int, values: tuple[Any, ...] | None, cached_by: list[int]) -> None:
        frame = None if values is None else self.memory.new_frame(count=1, values=values)
        self.memory.behind[page] = [self.memory.zero, *([] if frame is None else [frame])]
        entry = None if frame is None else Pte(frame, True)
        mm, layout = self.mm, self.layout
        layout.preset(mm.page_table.pte[page], entry)
        for cpu in cached_by:
            layout.preset(mm.tlb.entry(cpu, page), entry)
        if not self.referee:
            return
        mm.filed_under[page] = page
        for slot in range(self.slots):
            value = values[slot] if values is not None else 0
            mm.truth[page, slot] = layout.cell(f"truth P{page}[{slot}]", value, bits=3)
            mm.past[page, slot] = layout.cell(f"past P{page}[{slot}]", (value,), bits=5)
            layout.hide([mm.truth[page, slot], mm.past[page, slot]])

    def map(
        self,
        name: str,
        first: int,
        last: int,
        faulted: bool = True,
        flags: int = PRIVATE,
        file: File | None = None,
    ) -> Vma:
        """A VMA of the process over the pages `first` to `last`.

        It maps `file` from its beginning, or anonymous memory. If the world `forks`, each child
        gets a spare VMA for its copy.
        """
        if self.forks:
            for child in self.children:
                child.spare_vmas.add(Vma(child, self.layout, f"{child} {name}"))
        mm, layout = self.mm, self.layout
        vma = Vma(mm, layout, name)
        chain = tuple(vma.spare_anon_vmas) if faulted else ()
        settle(
            vma,
            first * PAGE_SIZE,
            (last + 1) * PAGE_SIZE,
            flags,
            file,
            first if file is None else 0,
            chain,
        )
        if file is not None:
            layout.preset(file.i_mmap, (*file.i_mmap.of(layout.initial), vma))
        for page in range(first, last + 1):
            entry = mm.page_table.pte[page].of(layout.initial) if page in self.pages else None
            if chain and entry is not None and entry.frame.anonymous:
                layout.preset(entry.frame.index, page)
                layout.preset(entry.frame.mapping, chain[-1])
        mm.vmas.append(vma)
        mm.vmas.sort(key=lambda vma: vma.vm_start.of(layout.initial))
        layout.preset(mm.map_count, len(mm.vmas))
        _plant(mm)
        return vma

    def _child(self, name: str) -> Mm:
        return Mm(self.layout, self.memory, self.rcu, self.pages, name=name, known=False)

    def another_child(self, name: str) -> Mm:
        """One more address space for a fork to fill. Call this before `map`."""
        self.children.append(self._child(name))
        return self.children[-1]

    @property
    def spaces(self) -> list[Mm]:
        """The process's address space, and its children's."""
        return [self.mm, *self.children]

    def file(self, name: str, pages: int, at: int, notified: bool = False) -> File:
        """A file of zeros, which programs find in `files`.

        Its first page may be mapped as page `at`, the others behind it.
        """
        made = File(self.layout, self.memory, name, pages, lambda page: (0,) * self.slots, notified)
        self.files[name] = made
        for page in range(pages):
            frame = made.frame(page)
            assert frame is not None
            self.memory.behind[at + page].append(frame)
        return made

    def may_move(self, page: int, to: int) -> None:
        """Let mremap move a page, with all frames that may stand behind it."""
        behind = self.memory.behind
        behind[page] = behind[to] = list(dict.fromkeys((*behind[page], *behind[to])))

    def may_change(self, nodes: int, vmas: int = 0) -> None:
        """Let programs change the tree: build `nodes`, allocate `vmas`, and free every VMA.

        Without this, programs cannot, and RCU readers do not conflict with each other.
        """
        self.mm.spare_vmas.set_aside(vmas)
        self.mm.mm_mt.set_aside(nodes)
        for vma in (*self.mm.vmas, *self.mm.spare_vmas):
            self.rcu.may_free(vma)

    def remember_history(self) -> None:
        """Keep the order of completed stores, for the snapshot oracle."""
        self.mm.history = self.layout.cell("history", (), bits=8)
        self.layout.hide([self.mm.history])

    def content(self, mm: Mm, state: int, page: int) -> tuple[Any, ...]:
        """What a program reads in `page`, by the page table: zeros where nothing is mapped."""
        entry = mm.page_table.pte[page].of(state)
        return (
            (0,) * self.slots
            if entry is None
            else tuple(cell.of(state) for cell in entry.frame.data)
        )

    def truth(self, state: int, page: int) -> tuple[Any, ...]:
        """What the process has stored in `page`, by completed stores alone."""
        return tuple(self.mm.truth[page, slot].of(state) for slot in range(self.slots))


def _plant(mm: Mm) -> None:
    """Put the VMAs into the tree with which a search begins; one leaf must be enough for them."""
    layout, low = mm.layout, 0
    ends: list[int] = []
    slots: list[Vma | None] = []
    for vma in mm.vmas:
        start, end = vma.vm_start.of(layout.initial), vma.vm_end.of(layout.initial)
        if low < start:
            ends.append(start)
            slots.append(None)
        ends.append(end)
        slots.append(vma)
        low = end
    if len(slots) >= SLOTS:
        raise ModelError(
            f"{len(mm.vmas)} VMAs with their gaps are too many for a search: "
            f"its tree begins as one node of {SLOTS}"
        )
    layout.preset(mm.mm_mt.ma_root.of(layout.initial).ranges, Ranges((*ends, END), (*slots, None)))


def settle(
    vma: Vma,
    start: int,
    end: int,
    flags: int,
    file: File | None,
    pgoff: int,
    chain: tuple[AnonVma, ...],
) -> None:
    """Set the fields of a VMA that exists when a program begins. The caller fills the tree."""
    preset = vma.layout.preset
    own, page_prot = chain[-1] if chain else None, writable_from_the_start(flags, file)
    content = (start, end, pgoff, flags, file, own, chain, page_prot)
    for cell, value in zip(vma.content(), content, strict=True):
        preset(cell, value)
    preset(vma.vm_lock_seq, FORKED_BEFORE - 1)
    preset(vma.life, USED)
    for anon_vma in chain:
        preset(anon_vma.refcount, 1)
