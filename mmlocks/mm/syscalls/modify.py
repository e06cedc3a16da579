"""Other flags for a part of a VMA: a neighbour that has them takes it, or it is split off."""

from __future__ import annotations

from mmlocks.mm.address import PAGE_SIZE
from mmlocks.mm.mm_types import Fields, Mm, Vma
from mmlocks.mm.syscalls.merge import Proposal, vma_merge
from mmlocks.mm.syscalls.split import split_vma


async def vma_modify_flags(mm: Mm, old: Fields, start: int, end: int, flags: int) -> Vma | int:
    """A VMA that covers [start, end) of `old` and may be given these flags; or -ENOMEM.

    If the part merges, the result is the neighbour, which has the flags already. Otherwise it is a
    VMA of exactly this range, which does not have them yet.

    Kernel:  mm/vma.c vma_modify_flags() (6.12; in 6.4, each caller did this itself).
    Locks:   mmap_lock for writing; write-locks every VMA that changes.
    """
    pgoff = old.pgoff + (start - old.start) // PAGE_SIZE
    merged = await vma_merge(
        mm, Proposal(start, end, pgoff, flags, old.file, old.anon_vma, source=old, old=old)
    )
    if merged is not None:
        return merged
    if old.start < start:
        below = await split_vma(mm, old.vma, start, below=True)
        if isinstance(below, int):
            return below
    if old.end > end:
        above = await split_vma(mm, old.vma, end, below=False)
        if isinstance(above, int):
            return above
    return old.vma
