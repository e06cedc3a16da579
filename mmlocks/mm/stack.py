"""Stacks: areas that grow towards lower addresses when a program touches what lies below them."""

from __future__ import annotations

from mmlocks.machine import together
from mmlocks.mm.address import PAGE_SIZE
from mmlocks.mm.errnos import ENOMEM, EPERM
from mmlocks.mm.maple import find_vma, find_vma_before, vma_iter_store
from mmlocks.mm.mm_types import Mm, Vma
from mmlocks.mm.mmap_lock import (
    mmap_read_lock,
    mmap_read_unlock,
    mmap_write_downgrade,
    mmap_write_lock,
    mmap_write_unlock,
)
from mmlocks.mm.rmap import anon_vma_prepare
from mmlocks.mm.vm_flags import VM_ACCESS_FLAGS, VM_GROWSDOWN
from mmlocks.mm.vma_lock import vma_start_write
from mmlocks.releases import STACK_GROWS_EXCLUSIVELY, STACK_LOCKS_VMA


async def lock_mm_and_find_vma(mm: Mm, address: int) -> Vma | None:
    """Lock the address space and find the VMA at `address`; grow a stack down to it if need be.

    None if there is no such VMA.

    Kernel:  mm/memory.c lock_mm_and_find_vma() since c2508ec5a58d (6.4.1, the series that ends
             with 8d7071af8907), arch/x86/mm/fault.c before.
    Locks:   none on entry; mmap_lock for reading if a VMA is returned, else none.
    Races:   all others, while mmap_lock is given up to take it for writing, so the VMA is looked up
             again. No lock can be upgraded: two CPUs that tried would wait for each other.
    Differs: calls expand_stack, which Linux keeps for other callers; the same lines stand here in
             Linux. A task that waits for a lock is not killed.
    """
    await mmap_read_lock(mm)
    vma = await find_vma(mm, address)
    if vma is not None:
        start, vm_flags = await together(vma.vm_start, vma.vm_flags)
        if start <= address:
            return vma
        if vm_flags & VM_GROWSDOWN:
            return await expand_stack(mm, vma, address)
    await mmap_read_unlock(mm)
    return None


async def expand_stack(mm: Mm, vma: Vma, address: int) -> Vma | None:
    """Grow the stack `vma`, found above `address`, down to it.

    None, and mmap_lock given up, if it cannot grow.

    Kernel:  mm/mmap.c expand_stack() since 8d7071af8907 (6.4.1); before, the fault called
             expand_downwards directly.
    Locks:   mmap_lock for reading, on entry and, if a VMA is returned, on exit.
    """
    if not STACK_GROWS_EXCLUSIVELY:
        if await expand_downwards(mm, vma, address) == 0:
            return vma
        await mmap_read_unlock(mm)
        return None
    await mmap_read_unlock(mm)
    await mmap_write_lock(mm)
    found = await find_vma(mm, address)
    if found is not None:
        start, vm_flags = await together(found.vm_start, found.vm_flags)
        if start <= address or (
            vm_flags & VM_GROWSDOWN and await expand_downwards(mm, found, address) == 0
        ):
            await mmap_write_downgrade(mm)
            return found
    await mmap_write_unlock(mm)
    return None


async def expand_downwards(mm: Mm, vma: Vma, address: int) -> int:
    """Move a VMA's start down to the page of `address`. Returns 0, or minus an errno.

    A gap stays between the stack and accessible memory below it, so that a stack does not run into
    other data unnoticed. Another stack below needs no gap.

    Kernel:  mm/mmap.c expand_downwards(), acct_stack_growth(); VMA lock added by c137381f71ae
             (6.4.3).
    Locks:   mmap_lock for writing since 8d7071af8907 (6.4.1), *for reading before*; takes
             page_table_lock, and the VMA lock.
    Races:   a fault under the VMA read lock may see the new vm_start and the old vm_pgoff, until
             vma_start_write returns; before 6.4.1, so may all who hold mmap_lock for reading.
    Returns: -EPERM below mmap_min_addr; -ENOMEM for less than the guard gap, or a stack larger
             than RLIMIT_STACK.
    Differs: takes no anon_vma lock; see AnonVma.
    """
    address -= address % PAGE_SIZE
    if address < mm.limits.mmap_min_addr:
        return -EPERM
    below = await find_vma_before(mm, address)
    if below is not None:
        end, vm_flags = await together(below.vm_end, below.vm_flags)
        accessible = vm_flags & VM_ACCESS_FLAGS and not vm_flags & VM_GROWSDOWN
        if accessible and address - end < mm.limits.stack_guard_gap:
            return -ENOMEM
    await anon_vma_prepare(vma)
    if STACK_LOCKS_VMA:
        await vma_start_write(vma)
    # All who move these fields hold page_table_lock, so to look as it is taken is the same as to
    # look later.
    _, start, end, pgoff = await together(
        mm.page_table_lock.lock(), vma.vm_start, vma.vm_end, vma.vm_pgoff
    )
    grow = (start - address) // PAGE_SIZE
    error = 0
    if grow > 0:
        if end - address > mm.limits.rlimit_stack or grow > pgoff:
            error = -ENOMEM
        else:
            await vma.vm_start.set(address)
            await vma.vm_pgoff.set(pgoff - grow)
            await vma_iter_store(mm, address, end, vma)
    await mm.page_table_lock.unlock()
    return error
