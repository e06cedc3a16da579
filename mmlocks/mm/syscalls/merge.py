"""Merging: two areas that touch and are alike become one VMA, which keeps the list of VMAs short.

VMAs are alike if they have the same flags and the same file, if their page numbers (vm_pgoff) go
on from one to the other, and if one anon_vma may hold the anonymous pages of both. mmap, mprotect,
brk and mremap come here with a proposal: "There will be such a range. Can a neighbour take it?"
(Kernel: mm/mmap.c vma_merge() in 6.4; mm/vma.c vma_merge_new_range() and
vma_merge_existing_range() since 6.12.)
"""

from __future__ import annotations

from typing import NamedTuple

from mmlocks.machine import together
from mmlocks.machine.wire import travels
from mmlocks.mm.address import PAGE_SIZE
from mmlocks.mm.maple import find_vma, find_vma_before, vma_iter_store
from mmlocks.mm.mm_types import AnonVma, Fields, File, Mm, Vma
from mmlocks.mm.pagecache import i_mmap_lock_write, i_mmap_unlock_write, vma_unlink_file
from mmlocks.mm.rmap import anon_vma_clone, unlink_anon_vmas
from mmlocks.mm.vma import fields_of, vm_area_free
from mmlocks.mm.vma_lock import vma_start_write
from mmlocks.releases import MERGE_LOCKS_FIRST, UNFAULTED_MERGES


@travels
class Proposal(NamedTuple):
    """A range that will have these properties (kernel: struct vma_merge_struct).

    `anon_vma` is where its pages are filed, if it has some. `old` is the VMA of which it is a part
    now; None for a new range. `source` is the VMA from which its pages come; None if it has none.
    """

    start: int
    end: int
    pgoff: int
    flags: int
    file: File | None
    anon_vma: AnonVma | None = None
    source: Fields | None = None
    old: Fields | None = None


async def vma_merge(mm: Mm, new: Proposal) -> Vma | None:
    """Make the range part of the VMA before it, of the one after it, or of both.

    None, and nothing done, if neither is alike.

    Locks:   mmap_lock for writing; write-locks all VMAs that change.
    Races:   faults under a VMA lock, until that VMA is write-locked.
    """
    old = new.old
    before = await find_vma_before(mm, new.start) if old is None or old.start == new.start else None
    after = await find_vma(mm, new.end) if old is None or old.end == new.end else None
    left = await fields_of(before) if before is not None else None
    right = await fields_of(after) if after is not None else None
    if left is not None and not await goes_before(left, new):
        left = None
    if right is not None and not await goes_after(right, new):
        right = None
    if (
        left is not None
        and right is not None
        and left.anon_vma
        and right.anon_vma
        and left.anon_vma is not right.anon_vma
    ):
        right = None  # each is like the new range, but they are not alike
    if left is not None:
        end = right.end if right is not None else new.end
        gone = tuple(
            part
            for part in (old if old is not None and old.end <= end else None, right)
            if part is not None
        )
        rest = old if old is not None and old.end > end else None
        await commit_merge(mm, left, left.start, end, left.pgoff, gone, rest, new.source)
        return left.vma
    if right is not None:
        gone = (old,) if old is not None and old.start == new.start else ()
        rest = old if old is not None and old.start < new.start else None
        pgoff = right.pgoff - (right.start - new.start) // PAGE_SIZE
        await commit_merge(mm, right, new.start, right.end, pgoff, gone, rest, new.source)
        return right.vma
    return None


async def goes_before(left: Fields, new: Proposal) -> bool:
    """Whether the new range can continue `left` (kernel: can_vma_merge_after)."""
    in_line = left.pgoff + (left.end - left.start) // PAGE_SIZE == new.pgoff
    return left.end == new.start and in_line and await _alike(left, new)


async def goes_after(right: Fields, new: Proposal) -> bool:
    """Whether `right` can begin earlier, with the new range (kernel: can_vma_merge_before)."""
    in_line = new.pgoff + (new.end - new.start) // PAGE_SIZE == right.pgoff
    return new.end == right.start and in_line and await _alike(right, new)


async def _alike(target: Fields, new: Proposal) -> bool:
    same = target.flags == new.flags and target.file is new.file
    return same and await may_share(target, new.anon_vma, new.source)


async def may_share(target: Fields, anon_vma: AnonVma | None, source: Fields | None) -> bool:
    """Whether one anon_vma may hold the pages of `target` and those in `anon_vma` (of `source`).

    A VMA that inherited pages by fork has a chain of several anon_vmas. A search for a page of any
    relative would also look into a VMA that joined it, so none may (kernel: is_mergeable_anon_vma).
    """
    if target.anon_vma is anon_vma:
        return True
    if UNFAULTED_MERGES:
        if target.anon_vma is None:
            return source is None or len(source.chain) == 1
        return anon_vma is None and len(target.chain) == 1
    return (target.anon_vma is None or anon_vma is None) and len(target.chain) == 1


async def commit_merge(
    mm: Mm,
    target: Fields,
    start: int,
    end: int,
    pgoff: int,
    gone: tuple[Fields, ...],
    rest: Fields | None,
    source: Fields | None,
) -> None:
    """Let `target` cover [start, end): all of the VMAs in `gone`, and a part of `rest`.

    Kernel:  mm/mmap.c vma_prepare(), dup_anon_vma(), vma_complete().
    Locks:   mmap_lock for writing; write-locks every VMA named; takes the file's i_mmap_rwsem for
             writing.
    Races:   faults under a VMA lock, until that VMA is write-locked: before d8ab9f7b644a (6.4.8),
             that was after it had got its new anon_vma.
    Differs: takes no anon_vma lock; see AnonVma.
    """
    if MERGE_LOCKS_FIRST:
        await vma_start_write(target.vma)
    for part in (*gone, *([rest] if rest else []), *([source] if source else [])):
        first = target.anon_vma is None and part.anon_vma is not None
        if first and await target.vma.anon_vma is None:
            await target.vma.anon_vma.set(part.anon_vma)
            await anon_vma_clone(target.vma, part.vma)
    for part in (target, *gone, *([rest] if rest else [])):
        await vma_start_write(part.vma)
    if target.file is not None:
        await i_mmap_lock_write(target.file)
    # All three are write-locked, so others cannot look between the changes.
    if rest is not None and rest.start < start:
        await rest.vma.vm_end.set(start)
    elif rest is not None:
        moved = rest.pgoff + (end - rest.start) // PAGE_SIZE
        await together(rest.vma.vm_start.set(end), rest.vma.vm_pgoff.set(moved))
    await together(
        target.vma.vm_start.set(start), target.vma.vm_end.set(end), target.vma.vm_pgoff.set(pgoff)
    )
    await vma_iter_store(mm, start, end, target.vma)
    if target.file is not None:
        for part in gone:
            await vma_unlink_file(target.file, part.vma)
        await i_mmap_unlock_write(target.file)
    for part in gone:
        await unlink_anon_vmas(part.vma)
        await together(part.vma.detached.set(True), mm.map_count.add(-1))
        await vm_area_free(part.vma)
