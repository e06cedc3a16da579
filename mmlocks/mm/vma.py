"""A virtual memory area: a range of addresses with one set of rules, and the lock that 6.4 gave it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from mmlocks.machine import Cell, Layout, RwSem, Step, View, operation, together
from mmlocks.machine.locks import FREE
from mmlocks.machine.pool import Pool
from mmlocks.machine.rcu import Reclaimable
from mmlocks.machine.state import Poison
from mmlocks.machine.step import Footprint, touching
from mmlocks.machine.wire import travels
from mmlocks.mm.address import PAGE_SIZE
from mmlocks.mm.pagecache import File
from mmlocks.mm.rmap import AnonVma
from mmlocks.mm.vm_flags import flags_text, vm_get_page_prot

if TYPE_CHECKING:
    from mmlocks.mm.mm import Mm

NEVER_LOCKED = -1

SPARE, USED, FREED = "spare", "used", "freed"


class Vma(Reclaimable):
    """One VMA (kernel: struct vm_area_struct).

    Fields and what protects a write to them (Documentation/mm/process_addrs.rst):
      vm_start, vm_end, vm_pgoff   mmap_lock and the VMA lock, both for writing
      vm_flags                     mmap_lock and the VMA lock, both for writing
      vm_page_prot                 mmap_lock and the VMA lock, both for writing; one bit of the kernel's: whether an entry that a load
                                   asked for may be writable from the start. Files alone need it
      vm_file                      set before the tree shows the VMA, and never changed; None for anonymous memory
      anon_vma                     from None: mmap_lock for reading and page_table_lock; to None: both locks for writing
      anon_vma_chain               as anon_vma; all anon_vmas in which pages of this VMA may be filed, the parents' first
      vm_lock_seq                  vm_lock for writing; equal to mm.mm_lock_seq means "this VMA is write-locked"
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

    def fields(self) -> tuple[Cell[Any], ...]:
        """Everything that an allocation sets, and that is poisoned when the VMA is freed; `life` first, the lock last."""
        return (
            self.life, self.vm_start, self.vm_end, self.vm_pgoff, self.vm_flags, self.vm_page_prot, self.vm_file,
            self.anon_vma, self.anon_vma_chain, self.vm_lock_seq, self.detached, self.vm_lock.writer,
        )  # fmt: skip

    def cells(self) -> Iterable[Cell[Any]]:
        """What `reclaim` touches."""
        return (*self.fields(), *self.vm_lock.cells())

    def reclaim(self, view: View) -> None:
        """Free the object (kernel: vm_area_free_rcu_cb, which insists that nobody holds its lock)."""
        self.vm_lock.free(view)
        for cell in self.fields()[1:-1]:
            view[cell.index] = self.poison
        view[self.life.index] = FREED
        self.vm_mm.spare_vmas.give_back(self)


@travels
class Fields(NamedTuple):
    """What a VMA is, read in one look by somebody who keeps others from changing it."""

    vma: Vma
    start: int
    end: int
    pgoff: int
    flags: int
    file: File | None
    anon_vma: AnonVma | None
    chain: tuple[AnonVma, ...]
    page_prot: bool


async def fields_of(vma: Vma) -> Fields:
    """Look at a VMA as a whole. The caller holds mmap_lock for writing, so it makes no difference that this is one step."""
    found = await together(
        vma.vm_start, vma.vm_end, vma.vm_pgoff, vma.vm_flags, vma.vm_file, vma.anon_vma, vma.anon_vma_chain,
        vma.vm_page_prot,
    )  # fmt: skip
    return Fields(vma, *found)


async def vm_area_alloc(
    mm: Mm,
    start: int,
    end: int,
    pgoff: int,
    flags: int,
    file: File | None,
    page_prot: bool | None = None,
) -> Vma:
    """A new VMA, of which nobody knows yet (kernel/fork.c vm_area_alloc, and vm_area_dup without its copying).

    Without a `page_prot` to copy, it follows from the flags alone: what the file says to that is vma_set_page_prot's to ask.

    Raises ScenarioTooSmall if a search's scenario has set no more aside.
    """
    vma: Vma = await vm_area_alloc_step(mm, start, end, pgoff, flags, file, page_prot)
    return vma


def vm_area_alloc_step(mm: Mm, *fields: Any) -> Step:
    """The step inside `vm_area_alloc`, which takes the same arguments; its result is the VMA."""
    return Step("vm_area_alloc", (mm, *fields))


async def vm_area_free(vma: Vma) -> None:
    """Free a VMA once all RCU readers who may have found it have left (kernel/fork.c vm_area_free)."""
    await vma.vm_mm.rcu.call(vma)


def _alloc(
    view: View,
    cpu: int,
    mm: Mm,
    start: int,
    end: int,
    pgoff: int,
    flags: int,
    file: File | None,
    page_prot: bool | None,
) -> Vma:
    vma = mm.spare_vmas.take(view, cpu)
    writable = vm_get_page_prot(flags) if page_prot is None else page_prot
    values = (USED, start, end, pgoff, flags, writable, file, None, (), NEVER_LOCKED, False, FREE)
    for cell, value in zip(vma.fields(), values, strict=True):
        view[cell.index] = value
    return vma


def _alloc_touches(layout: Layout, cpu: int, mm: Mm, *_: Any) -> Footprint:
    cells = [cell.index for vma in mm.spare_vmas for cell in vma.fields()]
    return touching(reads=cells, writes=cells)


operation("vm_area_alloc", _alloc_touches, _alloc)
