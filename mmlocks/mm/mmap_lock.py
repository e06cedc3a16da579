"""The one lock that protects a whole address space (include/linux/mmap_lock.h)."""

from __future__ import annotations

from mmlocks.mm.mm_types import Mm
from mmlocks.mm.vma_lock import vma_end_write_all
from mmlocks.releases import SPECULATIVE_FAULTS


async def mmap_read_lock(mm: Mm) -> None:
    """Share the address space: its VMAs stay as they are. Blocks while a writer is at work."""
    await mm.mmap_lock.down_read()


async def mmap_read_unlock(mm: Mm) -> None:
    """Leave the address space."""
    await mm.mmap_lock.up_read()


async def mmap_write_lock(mm: Mm) -> None:
    """Own the address space. Blocks until all readers have left, slow page faults among them."""
    await mm.mmap_lock.down_write()
    if SPECULATIVE_FAULTS:
        await mm.mm_seq.add(1)  # odd: no fault may begin to speculate, or commit


async def mmap_write_unlock(mm: Mm) -> None:
    """Give the address space up, and unlock every VMA that was write-locked meanwhile."""
    await vma_end_write_all(mm)
    if SPECULATIVE_FAULTS:
        await mm.mm_seq.add(1)  # even
    await mm.mmap_lock.up_write()


async def mmap_write_downgrade(mm: Mm) -> None:
    """Keep the address space for reading only, which unlocks every write-locked VMA."""
    await vma_end_write_all(mm)
    if SPECULATIVE_FAULTS:
        await mm.mm_seq.add(1)
    await mm.mmap_lock.downgrade()
