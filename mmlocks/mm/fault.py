"""The page fault: from the trap to the page table.

The fast path holds the lock of one VMA, the slow path holds mmap_lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmlocks.machine import together
from mmlocks.machine.wire import thrown
from mmlocks.mm.address import page_of
from mmlocks.mm.cow import do_wp_page
from mmlocks.mm.filemap import do_fault, vmf_anon_prepare
from mmlocks.mm.filing import folio_add_new_anon_rmap
from mmlocks.mm.frames import folio_put, vma_alloc_folio
from mmlocks.mm.mm_types import Mm, Pte, Vma
from mmlocks.mm.mmap_lock import mmap_read_unlock
from mmlocks.mm.pagetable import set_pte_at
from mmlocks.mm.rmap import anon_vma_prepare
from mmlocks.mm.stack import lock_mm_and_find_vma
from mmlocks.mm.vm_flags import (
    FAULT_FLAG_USER,
    FAULT_FLAG_VMA_LOCK,
    FAULT_FLAG_WRITE,
    VM_ACCESS_FLAGS,
    VM_SHARED,
    VM_WRITE,
)
from mmlocks.mm.vma_lock import lock_vma_under_rcu, vma_end_read
from mmlocks.releases import PER_VMA_LOCKS, SPECULATIVE_FAULTS

if TYPE_CHECKING:
    # Stands in speculative, which no release shipped. Linking finds it by its name.
    async def do_speculative_fault(mm: Mm, address: int, flags: int) -> bool: ...


@thrown
class SegmentationFault(Exception):
    """No VMA covers the address: the process gets SIGSEGV."""


async def do_user_addr_fault(mm: Mm, address: int, flags: int) -> None:
    """Handle a page fault at an address of user memory.

    User code faulted (FAULT_FLAG_USER), or a system call that reads or writes user memory.

    Kernel:  arch/x86/mm/fault.c do_user_addr_fault(); VMA lock first since 0bff0aaea03e (6.4).
    Locks:   none on entry or exit. The slow path holds mmap_lock for reading all along, so it never
             runs while another CPU holds it for writing. The fast path does, and that is the whole
             story of this course.
    Races:   fork, mmap, munmap, stack growth: all that believe mmap_lock to be enough.
    Raises:  SegmentationFault.
    Differs: waits for mmap_lock at once, without a try first. handle_mm_fault checks what the VMA
             allows.
    """
    if SPECULATIVE_FAULTS:
        if flags & FAULT_FLAG_USER and await do_speculative_fault(mm, address, flags):
            return
    if PER_VMA_LOCKS:
        # A fault of the kernel itself, on behalf of a system call, takes the slow path.
        vma = await lock_vma_under_rcu(mm, address) if flags & FAULT_FLAG_USER else None
        if vma is not None:
            handled = await handle_mm_fault(vma, address, flags | FAULT_FLAG_VMA_LOCK)
            await vma_end_read(vma)
            if handled:
                return
    vma = await lock_mm_and_find_vma(mm, address)
    if vma is None:
        raise SegmentationFault(f"no VMA at {address:#x}")
    handled = await handle_mm_fault(vma, address, flags)
    await mmap_read_unlock(mm)
    if not handled:
        raise SegmentationFault(f"{vma} does not allow this access to {address:#x}")


async def handle_mm_fault(vma: Vma, address: int, flags: int) -> bool:
    """Make the page at `address` accessible, if it is not yet; False if it must not be.

    Kernel:  mm/memory.c handle_mm_fault(), __handle_mm_fault() and handle_pte_fault();
             arch/x86/mm/fault.c access_error().
    Locks:   mmap_lock for reading, or the VMA for reading.
    Races:   others who change this entry; what is read here is compared again under the page-table
             lock.
    """
    page = page_of(address)
    # vm_file and vm_flags cannot change under the lock that we hold.
    entry, file, vm_flags = await together(
        vma.vm_mm.page_table.pte[page], vma.vm_file, vma.vm_flags
    )
    if not vm_flags & (VM_WRITE if flags & FAULT_FLAG_WRITE else VM_ACCESS_FLAGS):
        return False
    if entry is None:
        if file is not None:
            return await do_fault(vma, file, page, flags)
        await do_anonymous_page(vma, page, flags)
    elif flags & FAULT_FLAG_WRITE and not entry.write:
        if file is not None and not vm_flags & VM_SHARED and not await vmf_anon_prepare(vma, flags):
            return False
        await do_wp_page(vma, page, entry)
    return True


async def do_anonymous_page(vma: Vma, page: int, flags: int) -> None:
    """First touch: map the zero frame for a read, a fresh zeroed frame for a write.

    Kernel:  mm/memory.c do_anonymous_page().
    Locks:   as handle_mm_fault; takes the page-table lock.
    Races:   another CPU that touches the page first; then its page stays, and ours is dropped.
    """
    mm, table = vma.vm_mm, vma.vm_mm.page_table
    new = mm.memory.zero
    if flags & FAULT_FLAG_WRITE:
        await anon_vma_prepare(vma)
        new = await vma_alloc_folio(mm, page, None)
    # The lock keeps the entry as it is, so both are one step. vm_start is read at the earliest
    # moment: other CPUs do not wait until we have used it.
    _, now, start = await together(table.ptl[page].lock(), table.pte[page], vma.vm_start)
    if now is not None:
        await table.ptl[page].unlock()
        await folio_put(mm.memory, new)
        return
    writable = bool(flags & FAULT_FLAG_WRITE)
    # The hardware sees the entry at once, all others when the lock is free: no difference.
    filed = [folio_add_new_anon_rmap(new, vma, page, start)] if writable else []
    await together(*filed, set_pte_at(mm, page, Pte(new, writable)), table.ptl[page].unlock())
