"""What the kernel owes itself: counts that add up, and no lock left behind."""

from __future__ import annotations

from mmlocks.machine import Violation
from mmlocks.mm.world import World


def references_add_up(world: World, state: int) -> Violation | None:
    """A frame's count is the number of entries that map it: fewer and it is freed too early, more and it leaks."""
    for frame in world.memory.frames:
        mapped = sum(
            entry is not None and entry.frame is frame
            for mm in (world.mm, world.child)
            for entry in (cell.of(state) for cell in mm.page_table.pte.values())
        )
        count = frame.refcount.of(state)
        if count != mapped:
            problem = "it leaks" if count > mapped else "it will be freed while in use"
            return Violation(
                "references",
                f"at the end {frame} is mapped {mapped} times and its count is {count}: {problem}",
            )
    return None


def nothing_is_held(world: World, state: int) -> Violation | None:
    """Every lock is free again, and no RCU read section is open."""
    mms = (world.mm, world.child)
    semaphores = [mm.mmap_lock for mm in mms] + [
        vma.vm_lock for mm in mms for vma in (*mm.vmas, *mm.spare_vmas)
    ]
    for lock in semaphores:
        if lock.writer.of(state):
            return Violation(
                "held_at_end", f"at the end cpu{lock.writer.of(state) - 1} still holds {lock} for writing"
            )
        for cpu, reader in enumerate(lock.readers):
            if reader.of(state):
                return Violation("held_at_end", f"at the end cpu{cpu} still holds {lock} for reading")
    for vma in world.mm.vmas:
        if vma.vm_lock_seq.of(state) == world.mm.mm_lock_seq.of(state):
            return Violation(
                "held_at_end",
                f"at the end VMA {vma} is still write-locked (its vm_lock_seq is mm_lock_seq, "
                f"{vma.vm_lock_seq.of(state)}): every later fault there must take the slow path",
            )
    for mm in mms:
        for spinlock in (mm.page_table_lock, *mm.page_table.ptl.values()):
            if spinlock.owner.of(state):
                return Violation(
                    "held_at_end", f"at the end cpu{spinlock.owner.of(state) - 1} still holds {spinlock}"
                )
    for cpu, section in enumerate(world.rcu.sections):
        if section.of(state) % 2:
            return Violation("held_at_end", f"at the end cpu{cpu} is still in an RCU read section")
    return None
