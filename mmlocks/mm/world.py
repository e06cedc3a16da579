"""A machine with memory, at the moment when a program begins: one process, its address space, and room for a child."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mmlocks.machine import Layout, Rcu, Record
from mmlocks.mm.frames import Memory
from mmlocks.mm.mm import Mm
from mmlocks.mm.vma import Vma


class World(Record):
    """Everything that a scenario builds on: `layout`, `memory`, the process's `mm`, and an empty `child` for fork.

    `pages[n]` are the values that page n holds at the start, or None if it was never touched. `faulting[cpu]` are the pages
    on which that CPU may take a fault (it gets `frames` frames for each); `cached[cpu]` those that it has stored to already, so that
    its TLB knows them as writable.
    """

    def __init__(
        self,
        cpus: int,
        pages: Mapping[int, tuple[Any, ...] | None],
        faulting: Mapping[int, Iterable[int]],
        cached: Mapping[int, Iterable[int]],
        slots: int = 2,
        frames: int = 1,
    ) -> None:
        self.layout = Layout(cpus)
        super().__init__(self.layout, "world")
        self.pages = sorted(pages)
        self.slots = slots
        self.rcu = Rcu(self.layout)
        self.memory = Memory(self.layout, slots)
        self.mm = Mm(self.layout, self.memory, self.rcu, self.pages)
        self.child = Mm(self.layout, self.memory, self.rcu, self.pages, name="child", known=False)
        for page in self.pages:
            self.mm.populate(
                page, pages[page], tuple(cpu for cpu in range(cpus) if page in cached.get(cpu, ()))
            )
        for cpu, touched in faulting.items():
            for page in touched:
                self.memory.set_aside(page, cpu, frames)

    def map(self, name: str, first: int, last: int, faulted: bool = True) -> Vma:
        """A VMA of the process, and a spare one for the child's copy of it."""
        self.child.spare(f"child {name}")
        return self.mm.map(name, first, last, faulted)

    def content(self, mm: Mm, state: int, page: int) -> tuple[Any, ...]:
        """What a program reads in `page`, by the page table: zeros where nothing is mapped."""
        entry = mm.page_table.pte[page].of(state)
        return (0,) * self.slots if entry is None else tuple(cell.of(state) for cell in entry.frame.data)

    def truth(self, state: int, page: int) -> tuple[Any, ...]:
        """What the process has stored in `page`, going by completed stores alone."""
        return tuple(self.mm.truth[page, slot].of(state) for slot in range(self.slots))
