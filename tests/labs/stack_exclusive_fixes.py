"""Answers to 8d7071af8907 (CVE-2023-3269): a stack grows under mmap_lock held for reading, with everybody who walks the tree looking on.

In 6.3, and not in 6.4.0, which lacks the repair as well: there a fault may hold the VMA lock alone, so that stack_expand_fault rejects Linux's own
answer, too, until c137381f71ae. And not in the newest release without it: what that has of c137381f71ae insists on mmap_lock
being held for writing, and says so before any harm is done.
"""

from mmlocks.mm import *  # noqa: F403  the labs' first cell does the same
from mmlocks.mm.errnos import ENOMEM, EPERM
from mmlocks.mm.filing import folio_add_new_anon_rmap
from mmlocks.mm.maple import find_vma_before, mas_descend, mas_write, spliced, vma_iter_store
from mmlocks.mm.stack import expand_downwards
from mmlocks.mm.vm_flags import VM_ACCESS_FLAGS, VM_GROWSDOWN
from tests.labs.banks import Bank


async def grown(mm, vma, address):
    """The VMA if it holds the address, or does so once it has grown; else None."""
    if vma is None:
        return None
    if await vma.vm_start <= address:
        return vma
    if await vma.vm_flags & VM_GROWSDOWN and await expand_downwards(mm, vma, address) == 0:
        return vma
    return None


async def downgraded(mm, vma):
    """From the write lock to what the fault wants: the read lock and a VMA, or neither."""
    if vma is None:
        await mmap_write_unlock(mm)
    else:
        await mmap_write_downgrade(mm)
    return vma


async def allowed(mm, vma, address):
    """0, or minus an errno: whether nothing below is in the way."""
    if address < mm.limits.mmap_min_addr:
        return -EPERM
    below = await find_vma_before(mm, address)
    if below is not None:
        flags, end = await below.vm_flags, await below.vm_end
        if (
            flags & VM_ACCESS_FLAGS
            and not flags & VM_GROWSDOWN
            and address - end < mm.limits.stack_guard_gap
        ):
            return -ENOMEM
    return 0


async def moved(mm, vma, address):
    """0, or minus an errno: the two fields, without the tree."""
    start, end, pgoff = await vma.vm_start, await vma.vm_end, await vma.vm_pgoff
    grow = (start - address) // PAGE_SIZE
    if grow > 0:
        if end - address > mm.limits.rlimit_stack or grow > pgoff:
            return -ENOMEM
        await vma.vm_start.set(address)
        await vma.vm_pgoff.set(pgoff - grow)
    return 0


class Linux:
    """Give the lock up, take it for writing, and look again."""

    async def expand_stack(mm, vma, address):
        await mmap_read_unlock(mm)
        await mmap_write_lock(mm)
        return await downgraded(mm, await grown(mm, await find_vma(mm, address), address))


# -- right, and different ---------------------------------------------------------------------------------------------


class EveryFaultForWriting:
    """Right, and no two faults of a process run at the same time any more."""

    async def lock_mm_and_find_vma(mm, address):
        await mmap_write_lock(mm)
        return await downgraded(mm, await grown(mm, await find_vma(mm, address), address))


class StartAllOver:
    """No downgrade: what was found under the write lock is looked up once more under the read lock."""

    async def lock_mm_and_find_vma(mm, address):
        while True:
            await mmap_read_lock(mm)
            vma = await find_vma(mm, address)
            if vma is not None and await vma.vm_start <= address:
                return vma
            await mmap_read_unlock(mm)
            await mmap_write_lock(mm)
            vma = await grown(mm, await find_vma(mm, address), address)
            await mmap_write_unlock(mm)
            if vma is None:
                return None


class CompareTheCount:
    """mm_lock_seq counts writers: if it is what it was, nobody has been here, and what was found still stands."""

    async def expand_stack(mm, vma, address):
        before = await mm.mm_lock_seq
        await mmap_read_unlock(mm)
        await mmap_write_lock(mm)
        if await mm.mm_lock_seq != before:
            vma = await find_vma(mm, address)
        return await downgraded(mm, await grown(mm, vma, address))


class SpinForTheLock:
    """Trying, instead of sleeping, once the read lock has been given up."""

    async def expand_stack(mm, vma, address):
        await mmap_read_unlock(mm)
        while not await mm.mmap_lock.try_write():
            pass
        return await downgraded(mm, await grown(mm, await find_vma(mm, address), address))


class CheckBeforeAndAfter:
    """A stack that may not grow is told so without the write lock."""

    async def expand_stack(mm, vma, address):
        refused = await allowed(mm, vma, address - address % PAGE_SIZE)
        await mmap_read_unlock(mm)
        if refused:
            return None
        await mmap_write_lock(mm)
        return await downgraded(mm, await grown(mm, await find_vma(mm, address), address))


# -- wrong: the stack still grows under the read lock -----------------------------------------------------------------


class Unsolved:
    async def expand_stack(mm, vma, address):
        if await expand_downwards(mm, vma, address) == 0:
            return vma
        await mmap_read_unlock(mm)
        return None


class WalkInsideRcu:
    """Now the node is not freed under the walk. What the walk has found changes under the fault as before."""

    async def find_vma(mm, address):
        await mm.rcu.read_lock()
        leaf = (await mas_descend(mm, address))[-1]
        await mm.rcu.read_unlock()
        return next((vma for vma in leaf.ranges.slots[leaf.offset :] if vma is not None), None)

    async def find_vma_before(mm, address):
        await mm.rcu.read_lock()
        leaf = (await mas_descend(mm, address - 1))[-1]
        await mm.rcu.read_unlock()
        return next(
            (vma for vma in reversed(leaf.ranges.slots[: leaf.offset + 1]) if vma is not None), None
        )


class WaitForRcuReaders:
    """A grace period, taken by hand. Who holds mmap_lock is in no read section, and is not waited for."""

    async def expand_stack(mm, vma, address):
        await mm.rcu.synchronize()
        if await expand_downwards(mm, vma, address) == 0:
            return vma
        await mmap_read_unlock(mm)
        return None


class RewriteTheNode:
    """No node is replaced, so none is freed. That a reader may find it half rewritten is below what the model looks at."""

    async def vma_iter_store(mm, start, end, vma):
        leaf = (await mas_descend(mm, start))[-1]
        await mas_write(leaf.node, spliced(leaf, start, end, vma))


class PageTableLockAroundTheWalk:
    """The tree changes under page_table_lock, so whoever walks takes it. Nobody who uses what was found does."""

    async def find_vma(mm, address):
        await mm.page_table_lock.lock()
        leaf = (await mas_descend(mm, address))[-1]
        await mm.page_table_lock.unlock()
        return next((vma for vma in leaf.ranges.slots[leaf.offset :] if vma is not None), None)

    async def find_vma_before(mm, address):
        await mm.page_table_lock.lock()
        leaf = (await mas_descend(mm, address - 1))[-1]
        await mm.page_table_lock.unlock()
        return next(
            (vma for vma in reversed(leaf.ranges.slots[: leaf.offset + 1]) if vma is not None), None
        )


class ExclusiveOnlyIfANodeGoes:
    """A boundary that moves is harmless to a walk. It is not, to who files a page."""

    async def expand_stack(mm, vma, address):
        below = await find_vma_before(mm, address)
        if below is None or await below.vm_end != address - address % PAGE_SIZE:
            if await expand_downwards(mm, vma, address) == 0:
                return vma
            await mmap_read_unlock(mm)
            return None
        await mmap_read_unlock(mm)
        await mmap_write_lock(mm)
        return await downgraded(mm, await grown(mm, await find_vma(mm, address), address))


class KeepAGapToStacks:
    """Then no gap ever vanishes from the tree; nor does a program run that worked before."""

    async def expand_downwards(mm, vma, address):
        address -= address % PAGE_SIZE
        below = await find_vma_before(mm, address)
        if below is not None and address - await below.vm_end < mm.limits.stack_guard_gap:
            return -ENOMEM
        await anon_vma_prepare(vma)
        await mm.page_table_lock.lock()
        error = await moved(mm, vma, address)
        if not error:
            await vma_iter_store(mm, address, await vma.vm_end, vma)
        await mm.page_table_lock.unlock()
        return error


class TheVmaLock:
    """The VMA's own lock for what happens to the VMA. The tree is nobody's own, and faults do not ask for it."""

    async def expand_stack(mm, vma, address):
        await vma.vm_lock.down_write()
        error = await expand_downwards(mm, vma, address)
        await vma.vm_lock.up_write()
        if not error:
            return vma
        await mmap_read_unlock(mm)
        return None


class TryAndGoOn:
    """The write lock if it can be had, and without it if not."""

    async def expand_stack(mm, vma, address):
        await mmap_read_unlock(mm)
        if not await mm.mmap_lock.try_write():
            await mmap_read_lock(mm)
            vma = await grown(mm, await find_vma(mm, address), address)
            if vma is None:
                await mmap_read_unlock(mm)
            return vma
        return await downgraded(mm, await grown(mm, await find_vma(mm, address), address))


class GrowOnceDowngraded:
    """The write lock for the look-up, and the read lock for the change: the wrong way round."""

    async def expand_stack(mm, vma, address):
        await mmap_read_unlock(mm)
        await mmap_write_lock(mm)
        found = await find_vma(mm, address)
        await mmap_write_downgrade(mm)
        found = await grown(mm, found, address)
        if found is None:
            await mmap_read_unlock(mm)
        return found


class TreeAfterTheDowngrade:
    """The fields are what faults read, so the write lock is for them."""

    async def expand_stack(mm, vma, address):
        low = address - address % PAGE_SIZE
        await mmap_read_unlock(mm)
        await mmap_write_lock(mm)
        vma = await find_vma(mm, address)
        if vma is None or not await vma.vm_flags & VM_GROWSDOWN or await allowed(mm, vma, low):
            return await downgraded(mm, None)
        await anon_vma_prepare(vma)
        if await moved(mm, vma, low):
            return await downgraded(mm, None)
        await mmap_write_downgrade(mm)
        await mm.page_table_lock.lock()
        await vma_iter_store(mm, low, await vma.vm_end, vma)
        await mm.page_table_lock.unlock()
        return vma


class PageTableLockInTheFault:
    """The fields move under page_table_lock, so who files a page takes it, and has them from one moment. The walk is as it was."""

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


class ExclusiveForTheTreeAlone:
    """The fields first, under the read lock; mmap_lock for writing for what it protects, which is said to be the tree."""

    async def expand_stack(mm, vma, address):
        address -= address % PAGE_SIZE
        if await allowed(mm, vma, address):
            await mmap_read_unlock(mm)
            return None
        await anon_vma_prepare(vma)
        await mm.page_table_lock.lock()
        error = await moved(mm, vma, address)
        await mm.page_table_lock.unlock()
        await mmap_read_unlock(mm)
        if error:
            return None
        await mmap_write_lock(mm)
        await vma_iter_store(mm, address, await vma.vm_end, vma)
        await mmap_write_downgrade(mm)
        return vma


# -- wrong: between the locks -----------------------------------------------------------------------------------------


class Upgrade:
    """Wait for all readers to leave, oneself among them."""

    async def expand_stack(mm, vma, address):
        await mmap_write_lock(mm)
        return await downgraded(mm, await grown(mm, vma, address))


class SpinToUpgrade:
    """The same, without falling asleep over it."""

    async def expand_stack(mm, vma, address):
        while not await mm.mmap_lock.try_write():
            pass
        return await downgraded(mm, await grown(mm, vma, address))


class KeepTheOldVma:
    """Give the lock up and take it again; and nothing else."""

    async def expand_stack(mm, vma, address):
        await mmap_read_unlock(mm)
        await mmap_write_lock(mm)
        return await downgraded(mm, await grown(mm, vma, address))


class FindAgainAndKeepTheOld:
    """Something is still there, so it will be what it was."""

    async def expand_stack(mm, vma, address):
        await mmap_read_unlock(mm)
        await mmap_write_lock(mm)
        found = None
        if await find_vma(mm, address) is not None:
            found = await grown(mm, vma, address)
        return await downgraded(mm, found)


class AskTheOldVmaWhetherItIsThere:
    """The mark is in the VMA that may be gone."""

    async def expand_stack(mm, vma, address):
        await mmap_read_unlock(mm)
        await mmap_write_lock(mm)
        found = None if await vma.detached else await grown(mm, vma, address)
        return await downgraded(mm, found)


class FindAgainBeforeTheLock:
    """Looked up once more, just before the lock is taken for writing."""

    async def expand_stack(mm, vma, address):
        await mmap_read_unlock(mm)
        await mmap_read_lock(mm)
        vma = await find_vma(mm, address)
        await mmap_read_unlock(mm)
        await mmap_write_lock(mm)
        return await downgraded(mm, await grown(mm, vma, address))


class FindAgainAndGrowAnything:
    """It was a stack before."""

    async def expand_stack(mm, vma, address):
        await mmap_read_unlock(mm)
        await mmap_write_lock(mm)
        found = await find_vma(mm, address)
        if found is not None and await expand_downwards(mm, found, address):
            found = None
        return await downgraded(mm, found)


class MoveAsDecidedBefore:
    """All the arithmetic under the read lock, so that the write lock is held for two stores and the tree."""

    async def expand_stack(mm, vma, address):
        low = address - address % PAGE_SIZE
        start, end, pgoff = await vma.vm_start, await vma.vm_end, await vma.vm_pgoff
        grow = (start - low) // PAGE_SIZE
        refused = await allowed(mm, vma, low) or end - low > mm.limits.rlimit_stack or grow > pgoff
        if not refused:
            await anon_vma_prepare(vma)
        await mmap_read_unlock(mm)
        if refused:
            return None
        await mmap_write_lock(mm)
        found = await find_vma(mm, address)
        if found is None or not await found.vm_flags & VM_GROWSDOWN:
            return await downgraded(mm, None)
        await found.vm_start.set(low)
        await found.vm_pgoff.set(pgoff - grow)
        await vma_iter_store(mm, low, end, found)
        return await downgraded(mm, found)


class CountTooLate:
    """The count of writers is read once the lock is gone: whoever was faster has been counted already."""

    async def expand_stack(mm, vma, address):
        await mmap_read_unlock(mm)
        before = await mm.mm_lock_seq
        await mmap_write_lock(mm)
        if await mm.mm_lock_seq != before:
            vma = await find_vma(mm, address)
        return await downgraded(mm, await grown(mm, vma, address))


class TryOnce:
    """If others are there, the program gets a segmentation fault for a stack that is all right."""

    async def expand_stack(mm, vma, address):
        await mmap_read_unlock(mm)
        if not await mm.mmap_lock.try_write():
            return None
        return await downgraded(mm, await grown(mm, await find_vma(mm, address), address))


# -- wrong: the way out -----------------------------------------------------------------------------------------------


class KeepTheWriteLock:
    """The fault gives up a read lock that it does not have."""

    async def expand_stack(mm, vma, address):
        await mmap_read_unlock(mm)
        await mmap_write_lock(mm)
        found = await grown(mm, await find_vma(mm, address), address)
        if found is None:
            await mmap_write_unlock(mm)
        return found


class ForgetToUnlockAtFailure:
    async def expand_stack(mm, vma, address):
        await mmap_read_unlock(mm)
        await mmap_write_lock(mm)
        found = await grown(mm, await find_vma(mm, address), address)
        if found is not None:
            await mmap_write_downgrade(mm)
        return found


class KeepTheReadLockAtFailure:
    """The old way out of a new function: whoever calls it believes that no lock is held any more."""

    async def expand_stack(mm, vma, address):
        await mmap_read_unlock(mm)
        await mmap_write_lock(mm)
        found = await grown(mm, await find_vma(mm, address), address)
        await mmap_write_downgrade(mm)
        return found


class UnlockAndLockAgain:
    """A downgrade in two steps, and with a gap: once more the VMA can go."""

    async def expand_stack(mm, vma, address):
        await mmap_read_unlock(mm)
        await mmap_write_lock(mm)
        found = await grown(mm, await find_vma(mm, address), address)
        await mmap_write_unlock(mm)
        if found is not None:
            await mmap_read_lock(mm)
        return found


class KeepItAliveByRcu:
    """The VMA cannot be freed meanwhile, and its mark says whether it is still in the tree. But nobody may sleep in there."""

    async def expand_stack(mm, vma, address):
        await mm.rcu.read_lock()
        await mmap_read_unlock(mm)
        await mmap_write_lock(mm)
        gone = await vma.detached
        await mm.rcu.read_unlock()
        if not gone and await expand_downwards(mm, vma, address) == 0:
            await mmap_write_downgrade(mm)
            return vma
        await mmap_write_unlock(mm)
        return None


BANK = Bank(
    repair="stack_grows_exclusively",
    release="6.3",
    scenarios=("stackrot", "stack_find_again", "stack_expand_fault"),
    right=(
        Linux,
        EveryFaultForWriting,
        StartAllOver,
        CompareTheCount,
        SpinForTheLock,
        CheckBeforeAndAfter,
    ),
    wrong={
        Unsolved: {"stackrot": "freed_node", "stack_expand_fault": "misfiled"},
        WalkInsideRcu: {"stack_expand_fault": "misfiled"},
        WaitForRcuReaders: {"stackrot": "freed_node", "stack_expand_fault": "misfiled"},
        RewriteTheNode: {"stack_expand_fault": "misfiled"},
        PageTableLockAroundTheWalk: {"stack_expand_fault": "misfiled"},
        ExclusiveOnlyIfANodeGoes: {"stack_expand_fault": "misfiled"},
        KeepAGapToStacks: {"stackrot": "exception", "stack_expand_fault": "misfiled"},
        TheVmaLock: {"stackrot": "freed_node", "stack_expand_fault": "misfiled"},
        TryAndGoOn: {"stackrot": "freed_node", "stack_expand_fault": "misfiled"},
        GrowOnceDowngraded: {"stackrot": "freed_node", "stack_expand_fault": "misfiled"},
        TreeAfterTheDowngrade: {"stackrot": "freed_node"},
        PageTableLockInTheFault: {"stackrot": "freed_node"},
        ExclusiveForTheTreeAlone: {
            "stack_find_again": "freed_vma",
            "stack_expand_fault": "misfiled",
        },
        Upgrade: dict.fromkeys(("stackrot", "stack_find_again", "stack_expand_fault"), "deadlock"),
        SpinToUpgrade: dict.fromkeys(
            ("stackrot", "stack_find_again", "stack_expand_fault"), "mistake"
        ),
        KeepTheOldVma: {"stack_find_again": "freed_vma"},
        FindAgainAndKeepTheOld: {"stack_find_again": "freed_vma"},
        AskTheOldVmaWhetherItIsThere: {"stack_find_again": "freed_vma"},
        FindAgainBeforeTheLock: {"stack_find_again": "freed_vma"},
        FindAgainAndGrowAnything: {"stack_find_again": "stray_page"},
        MoveAsDecidedBefore: {"stack_find_again": "stray_page"},
        CountTooLate: {"stack_find_again": "freed_vma"},
        KeepItAliveByRcu: dict.fromkeys(
            ("stackrot", "stack_find_again", "stack_expand_fault"), "atomic_sleep"
        ),
        TryOnce: dict.fromkeys(("stackrot", "stack_find_again", "stack_expand_fault"), "exception"),
        KeepTheWriteLock: dict.fromkeys(
            ("stackrot", "stack_find_again", "stack_expand_fault"), "lock_misuse"
        ),
        ForgetToUnlockAtFailure: {"stack_find_again": "held_at_end"},
        KeepTheReadLockAtFailure: {"stack_find_again": "held_at_end"},
        UnlockAndLockAgain: {"stack_find_again": "freed_vma"},
    },
)
