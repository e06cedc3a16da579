"""mremap: make a piece of memory longer or shorter, or move it to another address."""

from __future__ import annotations

from mmlocks.machine import together
from mmlocks.mm.address import PAGE_SIZE, page_align
from mmlocks.mm.errnos import EFAULT, EINVAL, ENOMEM
from mmlocks.mm.maple import find_vma, for_each_vma
from mmlocks.mm.mm_types import Fields, Mm, Vma
from mmlocks.mm.mmap_lock import mmap_write_lock, mmap_write_unlock
from mmlocks.mm.pagecache import i_mmap_lock_write, i_mmap_unlock_write
from mmlocks.mm.pagetable import set_pte_at
from mmlocks.mm.rmap import anon_vma_clone, unlink_anon_vmas
from mmlocks.mm.syscalls.merge import Proposal, vma_merge
from mmlocks.mm.syscalls.mmap import vma_link
from mmlocks.mm.syscalls.munmap import do_munmap
from mmlocks.mm.syscalls.placement import get_unmapped_area
from mmlocks.mm.tlb import flush_tlb_page
from mmlocks.mm.vm_flags import VM_SHARED
from mmlocks.mm.vma import fields_of, vm_area_alloc
from mmlocks.mm.vma_lock import vma_start_write
from mmlocks.releases import MREMAP_MOVES_SEVERAL

MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP = 1, 2, 4
SPARE_MAPS = 3
"""A move may split twice and add one VMA, so max_map_count must leave room for three."""


async def mremap(
    mm: Mm, old: int, old_length: int, new_length: int, flags: int, new: int = 0
) -> int:
    """The system call. Returns where the memory is now, or minus an errno.

    Kernel:  mm/mremap.c do_mremap(), in the order of checks that 6.17 has.
    Locks:   takes mmap_lock for writing; write-locks every VMA that changes.
    Returns: -EINVAL for arguments that make no sense; -EFAULT if [old, old + old_length) is not
             within one VMA; -ENOMEM if it cannot grow in place and may not move, or for too many
             VMAs.
    Differs: holds mmap_lock for writing to the end; where memory only shrinks, Linux downgrades it.
    """
    old_length, new_length = page_align(old_length), page_align(new_length)
    await mmap_write_lock(mm)
    result = await _check(mm, old, old_length, new_length, flags, new)
    if result == 0:
        if MREMAP_MOVES_SEVERAL:
            if flags & MREMAP_FIXED and old_length == new_length:
                result = await _move_several(mm, old, old_length, flags, new)
            else:
                result = await _remap_one(mm, old, old_length, new_length, flags, new)
        else:
            result = await _remap_one(mm, old, old_length, new_length, flags, new)
    await mmap_write_unlock(mm)
    return result


async def _check(mm: Mm, old: int, old_length: int, new_length: int, flags: int, new: int) -> int:
    """0 if the arguments make sense by themselves, else minus an errno (check_mremap_params)."""
    limits = mm.limits
    if flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP) or old % PAGE_SIZE:
        return -EINVAL
    if not 0 < new_length <= limits.task_size:
        return -EINVAL
    if not flags & (MREMAP_FIXED | MREMAP_DONTUNMAP):
        return 0
    if new > limits.task_size - new_length or new % PAGE_SIZE or not flags & MREMAP_MAYMOVE:
        return -EINVAL
    if flags & MREMAP_DONTUNMAP and old_length != new_length:
        return -EINVAL
    if old < new + new_length and new < old + old_length:
        return -EINVAL
    return -ENOMEM if await mm.map_count + 2 >= limits.max_map_count - SPARE_MAPS else 0


async def _move_several(mm: Mm, old: int, length: int, flags: int, new: int) -> int:
    """Move every VMA of a range, and keep the holes between them.

    Kernel:  mm/mremap.c remap_move() (6.17).
    """
    first, at, result = True, old, -EFAULT
    while at < old + length:
        vma = await find_vma(mm, at)
        start = await vma.vm_start if vma is not None else old + length
        if vma is None or start >= old + length or (first and start > old):
            break
        start, end = max(start, at), min(await vma.vm_end, old + length)
        moved = await _remap_one(mm, start, end - start, end - start, flags, new + start - old)
        if moved < 0:
            return moved
        first, at, result = False, end, moved if first else result
    return result


async def _remap_one(
    mm: Mm, old: int, old_length: int, new_length: int, flags: int, new: int
) -> int:
    """What mremap does to a range within one VMA (check_prep_vma, mremap_at, mremap_to)."""
    found = await find_vma(mm, old)
    if found is None or await found.vm_start > old:
        return -EFAULT
    vma = await fields_of(found)
    if old_length == 0 and not vma.flags & VM_SHARED:
        return -EINVAL
    fixed, keep = bool(flags & MREMAP_FIXED), bool(flags & MREMAP_DONTUNMAP)
    if not fixed and not keep:
        if new_length == old_length:
            return old
        if new_length < old_length:  # the range that is cut off may reach into other VMAs
            return await do_munmap(mm, old + new_length, old_length - new_length) or old
    if old + min(old_length, new_length) > vma.end:
        return -EFAULT
    if fixed:
        error = await do_munmap(mm, new, new_length)
        if error == 0 and new_length < old_length:
            error = await do_munmap(mm, old + new_length, old_length - new_length)
            old_length = new_length
        if error < 0:
            return error
    elif not keep:
        if old + old_length == vma.end and await _expand_in_place(mm, vma, new_length - old_length):
            return old
        if not flags & MREMAP_MAYMOVE:
            return -ENOMEM
        new = 0
    new = await get_unmapped_area(mm, new, new_length, fixed, vma.file is None)
    return await move_vma(mm, old, old_length, new_length, new, keep) if new >= 0 else new


async def _expand_in_place(mm: Mm, vma: Fields, more: int) -> bool:
    """Make a VMA longer, if the addresses behind it are free (vma_expandable, vma_merge_extend)."""
    end = vma.end + more
    if end > mm.limits.task_size or await for_each_vma(mm, vma.end, end):
        return False
    pgoff = vma.pgoff + (vma.end - vma.start) // PAGE_SIZE
    return (
        await vma_merge(mm, Proposal(vma.end, end, pgoff, vma.flags, vma.file, vma.anon_vma))
        is not None
    )


async def move_vma(mm: Mm, old: int, old_length: int, new_length: int, new: int, keep: bool) -> int:
    """Move [old, old + old_length), a part of one VMA, to `new`; with `keep`, an empty VMA stays.

    Kernel:  mm/mremap.c move_vma().
    Locks:   mmap_lock for writing; write-locks every VMA that changes.
    Races:   faults under the VMA lock of the source, until it is write-locked. Up to 6.4.9, a fault
             that looks at anon_vma before it locks the VMA may find it gone under the lock; see
             lock_vma_under_rcu.
    """
    if await mm.map_count >= mm.limits.max_map_count - SPARE_MAPS:
        return -ENOMEM
    source = await find_vma(mm, old)
    if source is None or await source.vm_start > old:
        return -EFAULT  # the source lay in the destination, which was made free
    await vma_start_write(source)
    vma = await fields_of(source)
    copy, need_rmap_locks = await copy_vma(mm, vma, old, new, new_length)
    await move_page_tables(mm, vma, old, new, old_length, need_rmap_locks)
    if not keep:
        if old_length:  # it is 0 only for shared memory, which gets a second mapping
            await do_munmap(mm, old, old_length)
    elif (
        vma.anon_vma is not None
        and copy is not source
        and (vma.start, vma.end) == (old, old + old_length)
    ):
        # All pages have left, so the next ones can be filed anew. (A source without anon_vma has
        # no page filed, and may be gone: a copy right beside it has been merged with it.)
        await unlink_anon_vmas(source)
    return new


async def copy_vma(mm: Mm, vma: Fields, old: int, new: int, length: int) -> tuple[Vma, bool]:
    """A VMA over [new, new + length) for pages from `old` in `vma`: merged into another, or new.

    The second result says whether the move needs rmap's locks: a walk that visits the new VMA
    before `vma` could miss a page that moves.

    Kernel:  mm/mmap.c copy_vma(), need_rmap_locks.
    Locks:   mmap_lock for writing; write-locks every VMA that changes.
    """
    if vma.file is None and vma.anon_vma is None:
        pgoff = new // PAGE_SIZE  # no page is filed yet, so the old numbers are not in use
    else:
        pgoff = vma.pgoff + (old - vma.start) // PAGE_SIZE
    end = new + length
    merged = await vma_merge(
        mm, Proposal(new, end, pgoff, vma.flags, vma.file, vma.anon_vma, source=vma)
    )
    if merged is not None:
        # Only files have walks. A file's VMA never merges with its own copy, so vma.pgoff is right.
        return merged, vma.file is not None and await merged.vm_pgoff <= vma.pgoff
    copy = await vm_area_alloc(mm, new, end, pgoff, vma.flags, vma.file, vma.page_prot)
    if vma.anon_vma is not None:
        await copy.anon_vma.set(vma.anon_vma)
        await anon_vma_clone(copy, vma.vma)
    await vma_start_write(copy)  # no fault may run here while its pages arrive
    # A walk visits the source first: its vm_pgoff is not above the copy's, and it is older.
    await vma_link(mm, copy)
    return copy, False


async def move_page_tables(
    mm: Mm, vma: Fields, old: int, new: int, length: int, need_rmap_locks: bool
) -> None:
    """Move the page-table entries of a range of `vma` to another range.

    Kernel:  mm/mremap.c move_page_tables(), move_ptes().
    Locks:   mmap_lock for writing and both VMAs write-locked; takes both pages' page-table locks,
             and around them rmap's locks where they are needed.
    Races:   stores through the TLBs, until each page is flushed, before its locks are given up. A
             walk that starts from the file.
    Differs: takes rmap's locks once; Linux takes them again for each page table (2 MiB).
    """
    table, shift = mm.page_table, (new - old) // PAGE_SIZE
    if need_rmap_locks:
        await take_rmap_locks(vma)
    for page in table.pages(old, old + length):
        _, entry = await together(table.ptl[page].lock(), table.pte[page])
        if entry is None:
            await table.ptl[page].unlock()
            continue
        await table.ptl[page + shift].lock()
        # One step: both entries are locked, and a CPU with the old one in its TLB loses it here.
        await together(
            set_pte_at(mm, page, None),
            flush_tlb_page(mm, page),
            set_pte_at(mm, page + shift, entry),
        )
        await together(table.ptl[page + shift].unlock(), table.ptl[page].unlock())
    if need_rmap_locks:
        await drop_rmap_locks(vma)


async def take_rmap_locks(vma: Fields) -> None:
    """Keep out every walk that looks for the mappings of pages of `vma` (mm/mremap.c).

    Locks:   takes the file's i_mmap_rwsem for writing.
    Differs: takes no anon_vma lock; see AnonVma.
    """
    if vma.file is not None:
        await i_mmap_lock_write(vma.file)


async def drop_rmap_locks(vma: Fields) -> None:
    """Let such walks in again (mm/mremap.c drop_rmap_locks)."""
    if vma.file is not None:
        await i_mmap_unlock_write(vma.file)
