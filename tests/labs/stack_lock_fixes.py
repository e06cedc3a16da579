"""Answers to c137381f71ae: a stack moves its vm_start and then its vm_pgoff, while a fault under the VMA lock reads one after the other."""

from mmlocks.mm import *  # noqa: F403  the labs' first cell does the same
from mmlocks.mm.errnos import ENOMEM, EPERM
from mmlocks.mm.filing import folio_add_new_anon_rmap
from mmlocks.mm.frames import put_step
from mmlocks.mm.maple import find_vma_before, mas_walk, vma_iter_store
from mmlocks.mm.stack import expand_downwards
from mmlocks.mm.vm_flags import VM_ACCESS_FLAGS, VM_GROWSDOWN
from mmlocks.mm.vma_lock import leave_rcu_if_covered
from tests.labs.banks import Bank


async def begun(mm, vma, address):
    """What comes before: the new start, and how many pages there are to grow; 0 if none, and minus an errno if it must not be."""
    low = address - address % PAGE_SIZE
    if low < mm.limits.mmap_min_addr:
        return low, -EPERM
    below = await find_vma_before(mm, low)
    if below is not None:
        flags, end = await below.vm_flags, await below.vm_end
        if (
            flags & VM_ACCESS_FLAGS
            and not flags & VM_GROWSDOWN
            and low - end < mm.limits.stack_guard_gap
        ):
            return low, -ENOMEM
    await anon_vma_prepare(vma)
    start, end, pgoff = await vma.vm_start, await vma.vm_end, await vma.vm_pgoff
    grow = max((start - low) // PAGE_SIZE, 0)
    return low, -ENOMEM if end - low > mm.limits.rlimit_stack or grow > pgoff else grow


async def moved(mm, vma, low, grow):
    """What expand_downwards does without the repair: two fields and the tree, in Linux's order."""
    await mm.page_table_lock.lock()
    await vma.vm_start.set(low)
    await vma.vm_pgoff.set(await vma.vm_pgoff - grow)
    await vma_iter_store(mm, low, await vma.vm_end, vma)
    await mm.page_table_lock.unlock()


async def vma_to_grow(mm, address):
    """The VMA at or above an address, if it is there already or may come there."""
    vma = await find_vma(mm, address)
    if vma is not None and (await vma.vm_start <= address or await vma.vm_flags & VM_GROWSDOWN):
        return vma
    return None


class Linux:
    async def expand_downwards(mm, vma, address):
        low, grow = await begun(mm, vma, address)
        if grow <= 0:
            return grow
        await vma_start_write(vma)
        await moved(mm, vma, low, grow)
        return 0


# -- right, and different ---------------------------------------------------------------------------------------------


class LockFirstOfAll:
    """Before anything is asked. A stack that may not grow is locked in vain."""

    async def expand_downwards(mm, vma, address):
        await vma_start_write(vma)
        low, grow = await begun(mm, vma, address)
        if grow <= 0:
            return grow
        await moved(mm, vma, low, grow)
        return 0


class LockWhatWasFoundAgain:
    """One level up, together with mmap_lock."""

    async def expand_stack(mm, vma, address):
        await mmap_read_unlock(mm)
        await mmap_write_lock(mm)
        vma = await vma_to_grow(mm, address)
        if vma is not None:
            await vma_start_write(vma)
            if await expand_downwards(mm, vma, address) == 0:
                await mmap_write_downgrade(mm)
                return vma
        await mmap_write_unlock(mm)
        return None


class HoldTheSemaphore:
    """The semaphore itself, for as long as it takes: no sequence number."""

    async def expand_downwards(mm, vma, address):
        low, grow = await begun(mm, vma, address)
        if grow <= 0:
            return grow
        await vma.vm_lock.down_write()
        await moved(mm, vma, low, grow)
        await vma.vm_lock.up_write()
        return 0


class SemaphoreForTheTwoStores:
    """No longer than needed: who walks the tree asks for no VMA lock."""

    async def expand_downwards(mm, vma, address):
        low, grow = await begun(mm, vma, address)
        if grow <= 0:
            return grow
        await vma.vm_lock.down_write()
        await vma.vm_start.set(low)
        await vma.vm_pgoff.set(await vma.vm_pgoff - grow)
        await vma.vm_lock.up_write()
        await vma_iter_store(mm, low, await vma.vm_end, vma)
        return 0


class DetachWhileItMoves:
    """Who locks it now looks again, until it is back; who has locked it before is waited for."""

    async def expand_downwards(mm, vma, address):
        low, grow = await begun(mm, vma, address)
        if grow <= 0:
            return grow
        await vma.detached.set(True)
        await vma.vm_lock.down_write()
        await vma.vm_lock.up_write()
        await moved(mm, vma, low, grow)
        await vma.detached.set(False)
        return 0


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
        await mm.page_table_lock.lock()
        await table.ptl[page].lock()
        if await table.pte[page] is not None:
            await folio_put(mm.memory, new)
        else:
            if flags & FAULT_FLAG_WRITE:
                await folio_add_new_anon_rmap(new, vma, page, await vma.vm_start)
            await set_pte_at(mm, page, Pte(new, bool(flags & FAULT_FLAG_WRITE)))
        await table.ptl[page].unlock()
        await mm.page_table_lock.unlock()

    async def wp_page_copy(vma, page, entry):
        mm, table, old = vma.vm_mm, vma.vm_mm.page_table, entry.frame
        if not old.anonymous:
            await anon_vma_prepare(vma)
        new = await vma_alloc_folio(mm, page, None if old is mm.memory.zero else old)
        await mm.page_table_lock.lock()
        await table.ptl[page].lock()
        if await table.pte[page] != entry:
            await folio_put(mm.memory, new)
        else:
            await set_pte_at(mm, page, None)
            await flush_tlb_page(mm, page)
            await folio_add_new_anon_rmap(new, vma, page, await vma.vm_start)
            await set_pte_at(mm, page, Pte(new, True))
            if old is not mm.memory.zero:
                await put_step(old)
        await table.ptl[page].unlock()
        await mm.page_table_lock.unlock()
        await folio_put(mm.memory, old)


class WaitForTheReaders:
    """vma_start_write written out: the number first, which lets in no new readers, then wait for those there are."""

    async def expand_downwards(mm, vma, address):
        low, grow = await begun(mm, vma, address)
        if grow <= 0:
            return grow
        await vma.vm_lock_seq.set(await mm.mm_lock_seq)
        while not await vma.vm_lock.try_write():
            pass
        await vma.vm_lock.up_write()
        await moved(mm, vma, low, grow)
        return 0


# -- wrong: the two stores --------------------------------------------------------------------------------------------


class Unsolved:
    async def expand_downwards(mm, vma, address):
        low, grow = await begun(mm, vma, address)
        if grow <= 0:
            return grow
        await moved(mm, vma, low, grow)
        return 0


class PgoffFirst:
    """The other order. Then the index is too small, where it was too big."""

    async def expand_downwards(mm, vma, address):
        low, grow = await begun(mm, vma, address)
        if grow <= 0:
            return grow
        await vma.vm_pgoff.set(await vma.vm_pgoff - grow)
        await vma.vm_start.set(low)
        await vma_iter_store(mm, low, await vma.vm_end, vma)
        return 0


class TreeFirst:
    """The fields follow what everybody can find; one of them still follows the other."""

    async def expand_downwards(mm, vma, address):
        low, grow = await begun(mm, vma, address)
        if grow <= 0:
            return grow
        await vma_iter_store(mm, low, await vma.vm_end, vma)
        await vma.vm_start.set(low)
        await vma.vm_pgoff.set(await vma.vm_pgoff - grow)
        return 0


class PageByPage:
    """So that the index is never wrong by more than one."""

    async def expand_downwards(mm, vma, address):
        low, grow = await begun(mm, vma, address)
        while grow > 0:
            await vma.vm_start.set(await vma.vm_start - PAGE_SIZE)
            await vma.vm_pgoff.set(await vma.vm_pgoff - 1)
            grow -= 1
        if not grow:
            await vma_iter_store(mm, low, await vma.vm_end, vma)
        return grow


# -- wrong: the lock --------------------------------------------------------------------------------------------------


class LockBetweenTheStores:
    async def expand_downwards(mm, vma, address):
        low, grow = await begun(mm, vma, address)
        if grow <= 0:
            return grow
        await vma.vm_start.set(low)
        await vma_start_write(vma)
        await vma.vm_pgoff.set(await vma.vm_pgoff - grow)
        await vma_iter_store(mm, low, await vma.vm_end, vma)
        return 0


class LockForTheTree:
    """After both stores: nothing is left that the lock protects."""

    async def expand_downwards(mm, vma, address):
        low, grow = await begun(mm, vma, address)
        if grow <= 0:
            return grow
        await vma.vm_start.set(low)
        await vma.vm_pgoff.set(await vma.vm_pgoff - grow)
        await vma_start_write(vma)
        await vma_iter_store(mm, low, await vma.vm_end, vma)
        return 0


class LockTheVmaBelow:
    """The one that the stack comes close to, if there is one. It does not change."""

    async def expand_downwards(mm, vma, address):
        low, grow = await begun(mm, vma, address)
        if grow <= 0:
            return grow
        below = await find_vma_before(mm, low)
        if below is not None:
            await vma_start_write(below)
        await moved(mm, vma, low, grow)
        return 0


class LockOnlyIfStacksMeet:
    """Where StackRot was: when the gap in the tree goes. The fields move every time."""

    async def expand_downwards(mm, vma, address):
        low, grow = await begun(mm, vma, address)
        if grow <= 0:
            return grow
        below = await find_vma_before(mm, low)
        if below is not None and await below.vm_end == low:
            await vma_start_write(vma)
        await moved(mm, vma, low, grow)
        return 0


class LockUnderPageTableLock:
    """All that belongs together under the lock that is there already: a spinlock, whose holder may not sleep, and vma_start_write does."""

    async def expand_downwards(mm, vma, address):
        low, grow = await begun(mm, vma, address)
        if grow <= 0:
            return grow
        await mm.page_table_lock.lock()
        await vma_start_write(vma)
        await vma.vm_start.set(low)
        await vma.vm_pgoff.set(await vma.vm_pgoff - grow)
        await vma_iter_store(mm, low, await vma.vm_end, vma)
        await mm.page_table_lock.unlock()
        return 0


class WaitAndLetGo:
    """Waits for the readers that there are, and keeps out none that come."""

    async def expand_downwards(mm, vma, address):
        low, grow = await begun(mm, vma, address)
        if grow <= 0:
            return grow
        await vma.vm_lock.down_write()
        await vma.vm_lock.up_write()
        await moved(mm, vma, low, grow)
        return 0


class SetTheNumber:
    """Keeps out who comes, and waits for nobody who is there."""

    async def expand_downwards(mm, vma, address):
        low, grow = await begun(mm, vma, address)
        if grow <= 0:
            return grow
        await vma.vm_lock_seq.set(await mm.mm_lock_seq)
        await moved(mm, vma, low, grow)
        return 0


class TryAndGoOn:
    """A fault should not be made to wait."""

    async def expand_downwards(mm, vma, address):
        low, grow = await begun(mm, vma, address)
        if grow <= 0:
            return grow
        if await vma.vm_lock.try_write():
            await vma.vm_lock_seq.set(await mm.mm_lock_seq)
            await vma.vm_lock.up_write()
        await moved(mm, vma, low, grow)
        return 0


class SemaphoreForReading:
    """Readers do not keep each other out, whatever they do."""

    async def expand_downwards(mm, vma, address):
        low, grow = await begun(mm, vma, address)
        if grow <= 0:
            return grow
        await vma.vm_lock.down_read()
        await moved(mm, vma, low, grow)
        await vma.vm_lock.up_read()
        return 0


class SemaphoreForEachStore:
    async def expand_downwards(mm, vma, address):
        low, grow = await begun(mm, vma, address)
        if grow <= 0:
            return grow
        await vma.vm_lock.down_write()
        await vma.vm_start.set(low)
        await vma.vm_lock.up_write()
        await vma.vm_lock.down_write()
        await vma.vm_pgoff.set(await vma.vm_pgoff - grow)
        await vma.vm_lock.up_write()
        await vma_iter_store(mm, low, await vma.vm_end, vma)
        return 0


class KeepTheSemaphore:
    async def expand_downwards(mm, vma, address):
        low, grow = await begun(mm, vma, address)
        if grow <= 0:
            return grow
        await vma.vm_lock.down_write()
        await moved(mm, vma, low, grow)
        return 0


class UnlockAllInBetween:
    async def expand_downwards(mm, vma, address):
        low, grow = await begun(mm, vma, address)
        if grow <= 0:
            return grow
        await vma_start_write(vma)
        await vma.vm_start.set(low)
        await vma_end_write_all(mm)
        await vma.vm_pgoff.set(await vma.vm_pgoff - grow)
        await vma_iter_store(mm, low, await vma.vm_end, vma)
        return 0


class MarkAndDoNotWait:
    """As DetachWhileItMoves: but who has locked it before has asked for the mark already."""

    async def expand_downwards(mm, vma, address):
        low, grow = await begun(mm, vma, address)
        if grow <= 0:
            return grow
        await vma.detached.set(True)
        await moved(mm, vma, low, grow)
        await vma.detached.set(False)
        return 0


class WaitAndThenMark:
    """The two steps of DetachWhileItMoves in the other order: somebody can come in between."""

    async def expand_downwards(mm, vma, address):
        low, grow = await begun(mm, vma, address)
        if grow <= 0:
            return grow
        await vma.vm_lock.down_write()
        await vma.vm_lock.up_write()
        await vma.detached.set(True)
        await moved(mm, vma, low, grow)
        await vma.detached.set(False)
        return 0


class LeaveItDetached:
    """Nobody can lock it ever again: whoever tries looks again, and again."""

    async def expand_downwards(mm, vma, address):
        low, grow = await begun(mm, vma, address)
        if grow <= 0:
            return grow
        await vma.detached.set(True)
        await vma.vm_lock.down_write()
        await vma.vm_lock.up_write()
        await moved(mm, vma, low, grow)
        return 0


# -- wrong: where mmap_lock is taken ----------------------------------------------------------------------------------


class LockWhatWasFoundBefore:
    """In good time, as soon as mmap_lock is there. The VMA may not be."""

    async def expand_stack(mm, vma, address):
        await mmap_read_unlock(mm)
        await mmap_write_lock(mm)
        await vma_start_write(vma)
        vma = await vma_to_grow(mm, address)
        if vma is not None and await expand_downwards(mm, vma, address) == 0:
            await mmap_write_downgrade(mm)
            return vma
        await mmap_write_unlock(mm)
        return None


class LockBeforeMmapLock:
    """The smaller lock first."""

    async def expand_stack(mm, vma, address):
        await vma_start_write(vma)
        await mmap_read_unlock(mm)
        await mmap_write_lock(mm)
        vma = await vma_to_grow(mm, address)
        if vma is not None and await expand_downwards(mm, vma, address) == 0:
            await mmap_write_downgrade(mm)
            return vma
        await mmap_write_unlock(mm)
        return None


class SemaphoreBeforeMmapLock:
    """Held while mmap_lock is waited for; whoever has that for writing may wait for the semaphore, or free it."""

    async def expand_stack(mm, vma, address):
        held = vma
        await held.vm_lock.down_write()
        await mmap_read_unlock(mm)
        await mmap_write_lock(mm)
        vma = await vma_to_grow(mm, address)
        if vma is not None and await expand_downwards(mm, vma, address) == 0:
            await held.vm_lock.up_write()
            await mmap_write_downgrade(mm)
            return vma
        await held.vm_lock.up_write()
        await mmap_write_unlock(mm)
        return None


class DowngradeFirst:
    """Readers of mmap_lock need not wait for the stack. The downgrade unlocks every VMA."""

    async def expand_stack(mm, vma, address):
        await mmap_read_unlock(mm)
        await mmap_write_lock(mm)
        vma = await vma_to_grow(mm, address)
        if vma is not None:
            await vma_start_write(vma)
        await mmap_write_downgrade(mm)
        if vma is not None and await expand_downwards(mm, vma, address) == 0:
            return vma
        await mmap_read_unlock(mm)
        return None


# -- wrong: the fault -------------------------------------------------------------------------------------------------


async def mapped(vma, page, new):
    """The end of a fault, under the page's lock: show the new frame, which has been filed."""
    await set_pte_at(vma.vm_mm, page, Pte(new, new is not vma.vm_mm.memory.zero))
    await vma.vm_mm.page_table.ptl[page].unlock()


async def fresh(vma, page, flags):
    """The beginning of a fault: a frame, and the page's lock; None, and nothing held, if somebody else was faster."""
    mm, table, new = vma.vm_mm, vma.vm_mm.page_table, vma.vm_mm.memory.zero
    if flags & FAULT_FLAG_WRITE:
        await anon_vma_prepare(vma)
        new = await vma_alloc_folio(mm, page, None)
    await table.ptl[page].lock()
    if await table.pte[page] is None:
        return new
    await table.ptl[page].unlock()
    await folio_put(mm.memory, new)
    return None


class ReadTheStartAgain:
    """Until two looks agree. The pair is torn, not the number."""

    async def do_anonymous_page(vma, page, flags):
        new = await fresh(vma, page, flags)
        if new is None:
            return
        if flags & FAULT_FLAG_WRITE:
            start = await vma.vm_start
            while start != await vma.vm_start:
                start = await vma.vm_start
            await folio_add_new_anon_rmap(new, vma, page, start)
        await mapped(vma, page, new)


class CheckTheStartAfterPgoff:
    """vm_start, vm_pgoff, vm_start: the same both times, and between the two stores all the while."""

    async def do_anonymous_page(vma, page, flags):
        new = await fresh(vma, page, flags)
        if new is None:
            return
        if flags & FAULT_FLAG_WRITE:
            start, _, again = await vma.vm_start, await vma.vm_pgoff, await vma.vm_start
            if start != again:
                await vma.vm_mm.page_table.ptl[page].unlock()
                await folio_put(vma.vm_mm.memory, new)
                return
            await folio_add_new_anon_rmap(new, vma, page, start)
        await mapped(vma, page, new)


class PageTableLockForTheStart:
    """The lock is there for one of the two looks."""

    async def do_anonymous_page(vma, page, flags):
        new = await fresh(vma, page, flags)
        if new is None:
            return
        if flags & FAULT_FLAG_WRITE:
            await vma.vm_mm.page_table_lock.lock()
            start = await vma.vm_start
            await vma.vm_mm.page_table_lock.unlock()
            await folio_add_new_anon_rmap(new, vma, page, start)
        await mapped(vma, page, new)


class PageTableLockForPgoff:
    async def do_anonymous_page(vma, page, flags):
        new = await fresh(vma, page, flags)
        if new is None:
            return
        if flags & FAULT_FLAG_WRITE:
            start = await vma.vm_start
            await vma.vm_mm.page_table_lock.lock()
            await folio_add_new_anon_rmap(new, vma, page, start)
            await vma.vm_mm.page_table_lock.unlock()
        await mapped(vma, page, new)


class WaitForTheGrower:
    """Whoever grows a stack holds page_table_lock: once it is free, nobody does. Until the next one comes."""

    async def do_anonymous_page(vma, page, flags):
        new = await fresh(vma, page, flags)
        if new is None:
            return
        if flags & FAULT_FLAG_WRITE:
            await vma.vm_mm.page_table_lock.lock()
            await vma.vm_mm.page_table_lock.unlock()
            await folio_add_new_anon_rmap(new, vma, page, await vma.vm_start)
        await mapped(vma, page, new)


class AskForTheNumberAgain:
    """If the VMA is write-locked by now, the fault gives up. Nobody write-locks it."""

    async def do_anonymous_page(vma, page, flags):
        new = await fresh(vma, page, flags)
        if new is None:
            return
        if flags & FAULT_FLAG_WRITE:
            if await vma.vm_lock_seq == await vma.vm_mm.mm_lock_seq:
                await vma.vm_mm.page_table.ptl[page].unlock()
                await folio_put(vma.vm_mm.memory, new)
                return
            await folio_add_new_anon_rmap(new, vma, page, await vma.vm_start)
        await mapped(vma, page, new)


class LookForALongerStack:
    """The fault goes on only where the stack was as long when it found the VMA."""

    async def lock_vma_under_rcu(mm, address):
        await mm.rcu.read_lock()
        vma = await mas_walk(mm, address)
        if vma is None or await vma.anon_vma is None:
            await mm.rcu.read_unlock()
            return None
        start = await vma.vm_start
        if not await vma_start_read(vma):
            await mm.rcu.read_unlock()
            return None
        if start == await vma.vm_start and await leave_rcu_if_covered(vma, address):
            return vma
        await vma.vm_lock.up_read()
        await mm.rcu.read_unlock()
        return None


TORN = {"stack_expand_fault": "misfiled"}

BANK = Bank(
    repair="stack_locks_vma",
    release="6.6-like-stack_locks_vma",
    scenarios=("stack_expand_fault", "stack_find_again"),
    right=(
        Linux, LockFirstOfAll, LockWhatWasFoundAgain, HoldTheSemaphore, SemaphoreForTheTwoStores, DetachWhileItMoves,
        StacksTakeTheSlowPath, PageTableLockOnBothSides, WaitForTheReaders,
    ),
    wrong={
        Unsolved: TORN,
        PgoffFirst: TORN,
        TreeFirst: TORN,
        PageByPage: TORN,
        LockBetweenTheStores: TORN,
        LockForTheTree: TORN,
        LockTheVmaBelow: TORN,
        LockOnlyIfStacksMeet: TORN,
        LockUnderPageTableLock: dict.fromkeys(("stack_expand_fault", "stack_find_again"), "atomic_sleep"),
        WaitAndLetGo: TORN,
        SetTheNumber: TORN,
        TryAndGoOn: TORN,
        SemaphoreForReading: TORN,
        SemaphoreForEachStore: TORN,
        KeepTheSemaphore: {"stack_expand_fault": "held_at_end", "stack_find_again": "deadlock"},
        UnlockAllInBetween: TORN,
        MarkAndDoNotWait: TORN,
        WaitAndThenMark: TORN,
        LeaveItDetached: {"stack_expand_fault": "mistake"},
        LockWhatWasFoundBefore: {"stack_find_again": "freed_vma"},
        LockBeforeMmapLock: {"stack_expand_fault": "lock_misuse", "stack_find_again": "lock_misuse"},
        SemaphoreBeforeMmapLock: {"stack_expand_fault": "lock_order", "stack_find_again": "deadlock"},
        DowngradeFirst: TORN,
        ReadTheStartAgain: TORN,
        CheckTheStartAfterPgoff: TORN,
        PageTableLockForTheStart: TORN,
        PageTableLockForPgoff: TORN,
        WaitForTheGrower: TORN,
        AskForTheNumberAgain: TORN,
        LookForALongerStack: TORN,
    },
)  # fmt: skip
