"""Steps of the VMA lock that are more than a load, a store, or an operation on a lock."""

from __future__ import annotations

from mmlocks.machine import Layout, Step, View, operation
from mmlocks.machine.step import Footprint, ViolationSignal, alive, footprint_of, perform, touching
from mmlocks.mm.vma import Vma


def mmap_assert_write_locked(vma: Vma) -> Step:
    """The step that insists on mmap_lock being held for writing, where somebody is about to write-lock a VMA (include/linux/mmap_lock.h).

    Differs: of a child that fork is making nobody asks: Linux holds its mmap_lock, and here nobody takes it.
    """
    return Step("mmap_assert_write_locked", (vma,))


def _assert_write_locked(view: View, cpu: int, vma: Vma) -> None:
    if vma.vm_mm.mm_mt.in_rcu and view[vma.vm_mm.mmap_lock.writer.index] != cpu + 1:
        raise ViolationSignal(
            "lock_misuse",
            f"cpu{cpu}: vma_start_write({vma}) without mmap_lock held for writing, so nobody would ever unlock the VMA. Take "
            f"mmap_write_lock({vma.vm_mm}) first.",
        )


def leave_rcu_if_covered(vma: Vma, address: int) -> Step:
    """The step that asks whether a read-locked VMA is still in the tree and holds `address`, and if so leaves the RCU section.

    Under the VMA's read lock the answer cannot change, so when we look does not matter. (Up to 6.4.1 a growing stack did change
    vm_start under it, and moved it away from every address that was inside.)
    """
    return Step("leave_rcu_if_covered", (vma, address))


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
