"""A virtual memory area: a range of addresses with one set of rules, and the lock that 6.4 gave it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmlocks.machine import Cell, Layout, Record, RwSem
from mmlocks.mm.rmap import AnonVma

if TYPE_CHECKING:
    from mmlocks.mm.mm import Mm

NEVER_LOCKED = -1


class Vma(Record):
    """One VMA (kernel: struct vm_area_struct). Private anonymous, readable and writable, in this part of the course.

    Fields and what protects a write to them (Documentation/mm/process_addrs.rst):
      vm_start, vm_end   mmap_lock and the VMA lock, both for writing
      anon_vma           from None: mmap_lock for reading and page_table_lock
      vm_lock_seq        vm_lock for writing; equal to mm.mm_lock_seq means "this VMA is write-locked"
      detached           the VMA lock for writing
    """

    def __init__(self, mm: Mm, layout: Layout, name: str, start: int = 0, end: int = 0) -> None:
        super().__init__(layout, name)
        self.vm_mm = mm
        self.vm_start: Cell[int] = layout.cell(f"{name}.vm_start", start, bits=2)
        self.vm_end: Cell[int] = layout.cell(f"{name}.vm_end", end, bits=2)
        self.vm_start.show = self.vm_end.show = hex
        self.anon_vma: Cell[AnonVma | None] = layout.cell(f"{name}.anon_vma", None, bits=2)
        self.own_anon_vma = AnonVma(layout, f"anon_vma({name})")
        self.vm_lock = RwSem(layout, f"{name}.vm_lock")
        self.vm_lock_seq: Cell[int] = layout.cell(f"{name}.vm_lock_seq", NEVER_LOCKED, bits=4)
        self.detached: Cell[bool] = layout.cell(f"{name}.detached", False, bits=1)
