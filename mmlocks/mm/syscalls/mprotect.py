"""mprotect: change what may be done with a range of memory."""

from __future__ import annotations

from mmlocks.machine import together
from mmlocks.mm.address import PAGE_SIZE, page_align
from mmlocks.mm.errnos import EACCES, EINVAL, ENOMEM
from mmlocks.mm.maple import find_vma
from mmlocks.mm.mm_types import Fields, Mm, Pte, Vma
from mmlocks.mm.mmap_lock import mmap_write_lock, mmap_write_unlock
from mmlocks.mm.pagecache import vma_set_page_prot
from mmlocks.mm.pagetable import set_pte_at
from mmlocks.mm.syscalls.modify import vma_modify_flags
from mmlocks.mm.tlb import flush_tlb_pages
from mmlocks.mm.vm_flags import (
    VM_ACCESS_FLAGS,
    VM_ACCOUNT,
    VM_GROWSDOWN,
    VM_NORESERVE,
    VM_SHARED,
    VM_WRITE,
)
from mmlocks.mm.vma import fields_of
from mmlocks.mm.vma_lock import vma_start_write

PROT_SEM, PROT_GROWSDOWN, PROT_GROWSUP = 0x8, 0x01000000, 0x02000000


async def mprotect(mm: Mm, start: int, length: int, prot: int) -> int:
    """The system call. Returns 0, or minus an errno.

    Kernel:  mm/mprotect.c do_mprotect_pkey().
    Locks:   takes mmap_lock for writing; write-locks every VMA that changes.
    Races:   faults under a VMA lock, until that VMA is write-locked; stores through the TLBs, until
             they are flushed.
    Returns: -EINVAL for a start within a page, or unknown bits; -EACCES for access that the
             memory's file does not allow; -ENOMEM for too many VMAs, or for a hole, *after the
             range before the hole was changed*.
    """
    grows_down = bool(prot & PROT_GROWSDOWN)
    if grows_down and prot & PROT_GROWSUP:
        return -EINVAL
    if start % PAGE_SIZE:
        return -EINVAL
    if length == 0:
        return 0
    end = start + page_align(length)
    if end <= start or end > 1 << 64:
        return -ENOMEM
    if prot & ~(VM_ACCESS_FLAGS | PROT_SEM | PROT_GROWSDOWN | PROT_GROWSUP):
        return -EINVAL
    await mmap_write_lock(mm)
    error = await _mprotect_range(
        mm, start, end, prot & VM_ACCESS_FLAGS, grows_down, bool(prot & PROT_GROWSUP)
    )
    await mmap_write_unlock(mm)
    return error


async def _mprotect_range(
    mm: Mm, start: int, end: int, access: int, grows_down: bool, grows_up: bool
) -> int:
    vma = await find_vma(mm, start)
    if vma is None:
        return -ENOMEM
    first, vm_flags = await together(vma.vm_start, vma.vm_flags)  # mmap_lock keeps both as they are
    if grows_down:
        if first >= end:
            return -ENOMEM
        start = first
        if not vm_flags & VM_GROWSDOWN:
            return -EINVAL
    elif first > start:
        return -ENOMEM
    elif grows_up:
        return -EINVAL  # nothing grows up on x86
    while start < end:
        vma = await find_vma(mm, start)
        if vma is None:
            return -ENOMEM
        old = await fields_of(vma)
        if old.start > start:
            return -ENOMEM
        stop = min(end, old.end)
        if access & ~(old.flags >> 4):
            return -EACCES
        error = await mprotect_fixup(mm, old, start, stop, old.flags & ~VM_ACCESS_FLAGS | access)
        if error < 0:
            return error
        start = stop
    return 0


async def mprotect_fixup(mm: Mm, old: Fields, start: int, end: int, flags: int) -> int:
    """Give [start, end) of one VMA these flags. Returns 0, or -ENOMEM (mm/mprotect.c).

    Locks:   mmap_lock for writing; write-locks every VMA that changes.
    """
    if flags == old.flags:
        return 0
    if flags & VM_WRITE:
        if not old.flags & (VM_ACCOUNT | VM_WRITE | VM_SHARED | VM_NORESERVE):
            flags |= VM_ACCOUNT
    elif old.flags & VM_ACCOUNT and old.file is None and old.anon_vma is None:
        flags &= ~VM_ACCOUNT  # untouched, so no memory need be kept ready for it
    vma = await vma_modify_flags(mm, old, start, end, flags)
    if isinstance(vma, int):
        return vma
    await vma_start_write(vma)
    await vma.vm_flags.set(flags)
    if old.file is not None:
        await vma_set_page_prot(vma)
    await change_protection(vma, start, end, flags)
    return 0


async def change_protection(vma: Vma, start: int, end: int, flags: int) -> None:
    """Change the page table to what the flags allow (mm/mprotect.c).

    An entry becomes writable again only by a fault.

    Locks:   mmap_lock for writing and the VMA write-locked; takes each page's page-table lock.
    Races:   stores through the TLBs, until the flush at the end.
    """
    mm, table = vma.vm_mm, vma.vm_mm.page_table
    changed: tuple[int, ...] = ()
    for page in table.pages(start, end):
        _, entry = await together(table.ptl[page].lock(), table.pte[page])
        if entry is None:
            await table.ptl[page].unlock()
            continue
        new = Pte(
            entry.frame,
            write=entry.write and bool(flags & VM_WRITE),
            none=not flags & VM_ACCESS_FLAGS,
        )
        await together(set_pte_at(mm, page, new), table.ptl[page].unlock())
        changed = (*changed, page)
    if changed:
        await flush_tlb_pages(mm, changed)
