"""Answers to c137381f71ae: a stack moves its vm_start and its vm_pgoff while a fault under the VMA lock reads one after the other."""

from mmlocks.mm import *  # noqa: F403  the labs' first cell does the same
from mmlocks.mm.errnos import ENOMEM, EPERM
from mmlocks.mm.filing import folio_add_new_anon_rmap
from mmlocks.mm.frames import put_step
from mmlocks.mm.maple import find_vma_before, mas_walk, vma_iter_store
from mmlocks.mm.stack import expand_downwards
from mmlocks.mm.vm_flags import VM_ACCESS_FLAGS, VM_GROWSDOWN
from mmlocks.mm.vma_lock import leave_rcu_if_covered
from tests.core.banks import Bank

# ruff: noqa: F405, N805  (no methods, so no self)


async def allowed(mm, address):
    """0, or minus an errno: whether nothing below is in the way."""
    if address < mm.limits.mmap_min_addr:
        return -EPERM
    below = await find_vma_before(mm, address)
    if below is not None:
        flags, end = await below.vm_flags, await below.vm_end
        if flags & VM_ACCESS_FLAGS and not flags & VM_GROWSDOWN and address - end < mm.limits.stack_guard_gap:
            return -ENOMEM
    return 0


async def pages_to_grow(mm, vma, address):
    """By how many pages the stack has to grow, or minus an errno if it may not."""
    start, end, pgoff = await vma.vm_start, await vma.vm_end, await vma.vm_pgoff
    grow = (start - address) // PAGE_SIZE
    if grow > 0 and (end - address > mm.limits.rlimit_stack or grow > pgoff):
        return -ENOMEM
    return max(grow, 0)


async def grown(mm, vma, address):
    """Move the stack's start, without asking the VMA lock for anything. 0, or minus an errno."""
    await mm.page_table_lock.lock()
    grow = await pages_to_grow(mm, vma, address)
    if grow > 0:
        await vma.vm_start.set(address)
        await vma.vm_pgoff.set(await vma.vm_pgoff - grow)
        await vma_iter_store(mm, address, await vma.vm_end, vma)
    await mm.page_table_lock.unlock()
    return min(grow, 0)


class Linux:
    async def expand_downwards(mm, vma, address):
        address -= address % PAGE_SIZE
        refused = await allowed(mm, address)
        if refused:
            return refused
        await anon_vma_prepare(vma)
        await vma_start_write(vma)
        return await grown(mm, vma, address)


# -- right, and different ---------------------------------------------------------------------------------------------


class LockFirstOfAll:
    """Before anything is asked. A stack that may not grow is locked in vain."""

    async def expand_downwards(mm, vma, address):
        await vma_start_write(vma)
        address -= address % PAGE_SIZE
        refused = await allowed(mm, address)
        if refused:
            return refused
        await anon_vma_prepare(vma)
        return await grown(mm, vma, address)


class LockWhatWasFoundAgain:
    """One level up, with mmap_lock."""

    async def expand_stack(mm, vma, address):
        await mmap_read_unlock(mm)
        await mmap_write_lock(mm)
        vma = await find_vma(mm, address)
        if vma is not None:
            await vma_start_write(vma)
            if await vma.vm_start <= address or (
                await vma.vm_flags & VM_GROWSDOWN and await expand_downwards(mm, vma, address) == 0
            ):
                await mmap_write_downgrade(mm)
                return vma
        await mmap_write_unlock(mm)
        return None


class HoldTheSemaphore:
    """The semaphore itself, for as long as it takes: no sequence number."""

    async def expand_downwards(mm, vma, address):
        address -= address % PAGE_SIZE
        refused = await allowed(mm, address)
        if refused:
            return refused
        await anon_vma_prepare(vma)
        await vma.vm_lock.down_write()
        error = await grown(mm, vma, address)
        await vma.vm_lock.up_write()
        return error


class SemaphoreForTheTwoStores:
    """No longer than needed: whoever walks the tree asks for no VMA lock."""

    async def expand_downwards(mm, vma, address):
        address -= address % PAGE_SIZE
        refused = await allowed(mm, address)
        if refused:
            return refused
        await anon_vma_prepare(vma)
        grow = await pages_to_grow(mm, vma, address)
        if grow > 0:
            await vma.vm_lock.down_write()
            await vma.vm_start.set(address)
            await vma.vm_pgoff.set(await vma.vm_pgoff - grow)
            await vma.vm_lock.up_write()
            await vma_iter_store(mm, address, await vma.vm_end, vma)
        return min(grow, 0)


class DetachWhileItMoves:
    """Who locks it now looks again, until it is back; who has locked it is waited for."""

    async def expand_downwards(mm, vma, address):
        address -= address % PAGE_SIZE
        refused = await allowed(mm, address)
        if refused:
            return refused
        await anon_vma_prepare(vma)
        await vma.detached.set(True)
        await vma.vm_lock.down_write()
        await vma.vm_lock.up_write()
        error = await grown(mm, vma, address)
        await vma.detached.set(False)
        return error


class StacksTakeTheSlowPath:
    """Right, and every first touch of a stack's page waits for mmap_lock, as before 6.4."""

    async def lock_vma_under_rcu(mm, address):
        while True:
            await mm.rcu.read_lock()
            vma = await mas_walk(mm, address)
            if vma is None or await vma.vm_flags & VM_GROWSDOWN or not await vma_start_read(vma):
                await mm.rcu.read_unlock()
                return None
            if await vma.vm_file is None and await vma.anon_vma is None:
                await vma.vm_lock.up_read()
                await mm.rcu.read_unlock()
                return None
            if await leave_rcu_if_covered(vma, address):
                return vma
            detached = await vma.detached
            await vma.vm_lock.up_read()
            await mm.rcu.read_unlock()
            if not detached:
                return None


class PageTableLockOnBothSides:
    """The two fields move under page_table_lock as it is; so whoever files a page takes it, for both of its looks."""

    async def do_anonymous_page(vma, page, flags):
        mm, table, new = vma.vm_mm, vma.vm_mm.page_table, vma.vm_mm.memory.zero
        if flags & FAULT_FLAG_WRITE:
            await anon_vma_prepare(vma)
            new = await vma_alloc_folio(mm, page, None)
        await table.ptl[page].lock()
        if await table.pte[page] is not None:
            await table.ptl[page].unlock()
            await folio_put(mm.memory, new)
            return
        if flags & FAULT_FLAG_WRITE:
            await mm.page_table_lock.lock()
            await folio_add_new_anon_rmap(new, vma, page, await vma.vm_start)
            await mm.page_table_lock.unlock()
        await set_pte_at(mm, page, Pte(new, bool(flags & FAULT_FLAG_WRITE)))
        await table.ptl[page].unlock()

    async def wp_page_copy(vma, page, entry):
        mm, table, old = vma.vm_mm, vma.vm_mm.page_table, entry.frame
        if not old.anonymous:
            await anon_vma_prepare(vma)
        new = await vma_alloc_folio(mm, page, None if old is mm.memory.zero else old)
        await table.ptl[page].lock()
        if await table.pte[page] != entry:
            await table.ptl[page].unlock()
            await folio_put(mm.memory, new)
            await folio_put(mm.memory, old)
            return
        await set_pte_at(mm, page, None)
        await flush_tlb_page(mm, page)
        await mm.page_table_lock.lock()
        await folio_add_new_anon_rmap(new, vma, page, await vma.vm_start)
        await mm.page_table_lock.unlock()
        await set_pte_at(mm, page, Pte(new, True))
        if old is not mm.memory.zero:
            await put_step(old)
        await table.ptl[page].unlock()
        await folio_put(mm.memory, old)


# -- wrong: the two stores --------------------------------------------------------------------------------------------


class Unsolved:
    async def expand_downwards(mm, vma, address):
        address -= address % PAGE_SIZE
        refused = await allowed(mm, address)
        if refused:
            return refused
        await anon_vma_prepare(vma)
        return await grown(mm, vma, address)


class PgoffFirst:
    """The other order. Then the index is too small, where it was too big."""

    async def grown(mm, vma, address):
        await mm.page_table_lock.lock()
        grow = await pages_to_grow(mm, vma, address)
        if grow > 0:
            await vma.vm_pgoff.set(await vma.vm_pgoff - grow)
            await vma.vm_start.set(address)
            await vma_iter_store(mm, address, await vma.vm_end, vma)
        await mm.page_table_lock.unlock()
        return min(grow, 0)


# -- wrong: the lock --------------------------------------------------------------------------------------------------


BANK = None
