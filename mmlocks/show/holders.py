"""Which CPU holds which lock in a state."""

from __future__ import annotations

from typing import NamedTuple

from mmlocks.machine import Layout, Rcu, RwSem, SpinLock
from mmlocks.mm.mm_types import Vma


class HeldLock(NamedTuple):
    """A lock that a CPU holds.

    `mode` is "own" (a spinlock), "read", "write", "write-locked" (a VMA), or "section" (RCU).
    """

    lock: str
    mode: str
    cpu: int


def holders(layout: Layout, state: int) -> set[HeldLock]:
    """Which CPU holds which lock in a state.

    A VMA is write-locked by the CPU that holds mmap_lock for writing. RCU read sections count too.
    """
    found: set[HeldLock] = set()
    for record in layout.records.values():
        if isinstance(record, SpinLock):
            if owner := record.owner.of(state):
                found.add(HeldLock(record.name, "own", owner - 1))
        elif isinstance(record, RwSem):
            if writer := record.writer.of(state):
                found.add(HeldLock(record.name, "write", writer - 1))
            found |= {
                HeldLock(record.name, "read", cpu)
                for cpu, reader in enumerate(record.readers)
                if reader.of(state)
            }
        elif isinstance(record, Rcu):
            found |= {
                HeldLock(record.name, "section", cpu)
                for cpu, section in enumerate(record.sections)
                if section.of(state) % 2
            }
        elif isinstance(record, Vma):
            writer = record.vm_mm.mmap_lock.writer.of(state)
            if writer and record.vm_lock_seq.of(state) == record.vm_mm.mm_lock_seq.of(state):
                found.add(HeldLock(f"VMA {record.name}", "write-locked", writer - 1))
    # A lock that was freed is owned by a CPU that does not exist.
    return {holding for holding in found if holding.cpu < layout.cpus}
