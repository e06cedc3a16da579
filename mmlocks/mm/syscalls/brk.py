"""brk: the heap, which ends where the program says."""

from __future__ import annotations

from mmlocks.mm.address import PAGE_SIZE, page_align
from mmlocks.mm.maple import find_vma, find_vma_before, for_each_vma
from mmlocks.mm.mm_types import Mm
from mmlocks.mm.mmap_lock import mmap_write_lock, mmap_write_unlock
from mmlocks.mm.syscalls.merge import Proposal, commit_merge, goes_before
from mmlocks.mm.syscalls.mmap import vma_link
from mmlocks.mm.syscalls.munmap import do_munmap
from mmlocks.mm.syscalls.placement import room_ends
from mmlocks.mm.vm_flags import VM_ACCOUNT, VM_MAY_ACCESS, VM_READ, VM_WRITE
from mmlocks.mm.vma import fields_of, vm_area_alloc


async def brk(mm: Mm, address: int) -> int:
    """The system call: move the end of the heap. Returns where the heap ends now.

    If the move is impossible, the end stays where it was.

    Kernel:  mm/mmap.c sys_brk().
    Locks:   takes mmap_lock for writing; write-locks every VMA that changes.
    Differs: holds it for writing to the end; where the heap shrinks, Linux downgrades it.
    """
    await mmap_write_lock(mm)
    old = await mm.brk
    if address >= mm.limits.start_brk and await _move_brk(mm, page_align(old), page_align(address)):
        await mm.brk.set(address)
        old = address
    await mmap_write_unlock(mm)
    return old


async def _move_brk(mm: Mm, old: int, new: int) -> bool:
    """Add or remove the memory between two ends, in whole pages; False if that is impossible."""
    if new == old:
        return True
    if new < old:
        heap = await for_each_vma(mm, new, old)
        return bool(heap) and await do_munmap(mm, new, old - new) == 0
    above = await find_vma(mm, old)
    if above is not None and new + PAGE_SIZE > await room_ends(mm, above):
        return False
    if new > mm.limits.task_size or await mm.map_count > mm.limits.max_map_count:
        return False
    flags = VM_READ | VM_WRITE | VM_MAY_ACCESS | VM_ACCOUNT
    more = Proposal(old, new, old // PAGE_SIZE, flags, None)
    before = await find_vma_before(mm, old)
    below = await fields_of(before) if before is not None else None
    if below is not None and await goes_before(below, more):
        await commit_merge(mm, below, below.start, new, below.pgoff, (), None, None)
        return True
    await vma_link(mm, await vm_area_alloc(mm, old, new, more.pgoff, flags, None))
    return True
