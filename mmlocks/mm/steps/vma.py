"""What the larger steps of VMAs do: allocate one, copy one for fork, and look at its lock."""

from __future__ import annotations

from typing import Any

from mmlocks.machine import Layout, View, operation
from mmlocks.machine.locks import FREE
from mmlocks.machine.sequential import carried_out
from mmlocks.machine.step import Footprint, ViolationSignal, alive, footprint_of, perform, touching
from mmlocks.mm.mm_types import NEVER_LOCKED, USED, File, Mm, Vma
from mmlocks.mm.vm_flags import vm_get_page_prot
from mmlocks.mm.vma_dup import _duplicate


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
    values = (USED, start, end, pgoff, flags, file, None, (), writable, NEVER_LOCKED, False, FREE)
    for cell, value in zip(vma.fields(), values, strict=True):
        view[cell.index] = value
    return vma


def _alloc_touches(layout: Layout, cpu: int, mm: Mm, *_: Any) -> Footprint:
    cells = [cell.index for vma in mm.spare_vmas for cell in vma.fields()]
    return touching(reads=cells, writes=cells)


operation("vm_area_alloc", _alloc_touches, _alloc)


def _dup_touches(layout: Layout, cpu: int, mm: Mm, orig: Vma) -> Footprint:
    tree = mm.mm_mt
    child = [tree.ma_root, mm.map_count, *(node.ranges for node in tree.nodes)]
    child += [cell for vma in mm.spare_vmas for cell in vma.fields()]
    known = (*orig.vm_mm.vmas, *orig.vm_mm.spare_vmas, *mm.spare_vmas)
    linked = [
        count
        for vma in known
        for anon_vma in vma.spare_anon_vmas
        for count in (anon_vma.refcount, anon_vma.freed)
    ]
    ours = [cell.index for cell in (*child, *linked)]
    return touching(reads=[*(cell.index for cell in orig.content()), *ours], writes=ours)


operation(
    "vm_area_dup",
    _dup_touches,
    lambda view, cpu, mm, orig: carried_out(view, cpu, _duplicate(mm, orig)),
)


def _assert_write_locked(view: View, cpu: int, vma: Vma) -> None:
    if vma.vm_mm.mm_mt.in_rcu and view[vma.vm_mm.mmap_lock.writer.index] != cpu + 1:
        raise ViolationSignal(
            "lock_misuse",
            f"cpu{cpu}: vma_start_write({vma}) without mmap_lock held for writing, so no CPU would "
            f"ever unlock the VMA. Take mmap_write_lock({vma.vm_mm}) first.",
        )


def _leave(view: View, cpu: int, vma: Vma, address: int) -> bool:
    start, end, detached = (
        alive(view, cpu, cell.index, "reads") for cell in (vma.vm_start, vma.vm_end, vma.detached)
    )
    if detached or not start <= address < end:
        return False
    perform(view, cpu, vma.vm_mm.rcu.read_unlock())
    return True


def _leave_touches(layout: Layout, cpu: int, vma: Vma, address: int) -> Footprint:
    looked = touching(reads=[vma.vm_start.index, vma.vm_end.index, vma.detached.index])
    return looked.joined(footprint_of(layout, cpu, vma.vm_mm.rcu.read_unlock()))


operation(
    "mmap_assert_write_locked",
    lambda layout, cpu, vma: touching(reads=[vma.vm_mm.mmap_lock.writer.index]),
    _assert_write_locked,
    lambda *_: "",
)
operation("leave_rcu_if_covered", _leave_touches, _leave)
