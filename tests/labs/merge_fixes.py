"""Answers to d8ab9f7b644a: a VMA that grows by merging is write-locked before it takes over its neighbour's anon_vma.

All merge anonymous memory, and swallow the neighbour whole: the scenarios do nothing else.
"""

from mmlocks.mm import *  # noqa: F403  the labs' first cell does the same
from mmlocks.mm.maple import mas_walk, vma_iter_store
from mmlocks.mm.rmap import anon_vma_clone, unlink_anon_vmas
from mmlocks.mm.vma import vm_area_free
from mmlocks.mm.vma_lock import leave_rcu_if_covered
from tests.labs.banks import Bank


async def all_locked(target, gone):
    for part in (target, *gone):
        await vma_start_write(part.vma)


async def taken_over(target, gone):
    """The target gets its neighbour's anon_vma, if it has none, and is linked to it: in this order."""
    for part in gone:
        if target.anon_vma is None and part.anon_vma is not None:
            await target.vma.anon_vma.set(part.anon_vma)
            await anon_vma_clone(target.vma, part.vma)


async def joined(mm, target, start, end, pgoff, gone):
    """What comes after: the target covers everything, and the others go."""
    await target.vma.vm_start.set(start)
    await target.vma.vm_end.set(end)
    await target.vma.vm_pgoff.set(pgoff)
    await vma_iter_store(mm, start, end, target.vma)
    for part in gone:
        await unlink_anon_vmas(part.vma)
        await part.vma.detached.set(True)
        await mm.map_count.add(-1)
        await vm_area_free(part.vma)


async def refuse(mm, vma=None):
    """Leave the fault to the slow path."""
    if vma is not None:
        await vma.vm_lock.up_read()
    await mm.rcu.read_unlock()


class Linux:
    async def commit_merge(mm, target, start, end, pgoff, gone, rest, source):
        await all_locked(target, gone)
        await taken_over(target, gone)
        await joined(mm, target, start, end, pgoff, gone)


# -- right, and different ---------------------------------------------------------------------------------------------


class LockTheTargetFirst:
    """Nobody else's anon_vma changes, so the others have time until their ranges do."""

    async def commit_merge(mm, target, start, end, pgoff, gone, rest, source):
        await vma_start_write(target.vma)
        await taken_over(target, gone)
        await all_locked(target, gone)
        await joined(mm, target, start, end, pgoff, gone)


class LinkBeforeShowing:
    """A fault sees an anon_vma to which the VMA is linked, or none."""

    async def commit_merge(mm, target, start, end, pgoff, gone, rest, source):
        for part in gone:
            if target.anon_vma is None and part.anon_vma is not None:
                await anon_vma_clone(target.vma, part.vma)
                await target.vma.anon_vma.set(part.anon_vma)
        await all_locked(target, gone)
        await joined(mm, target, start, end, pgoff, gone)


class HoldTheSemaphore:
    """The target's semaphore itself, for as long as it has an anon_vma and no link."""

    async def commit_merge(mm, target, start, end, pgoff, gone, rest, source):
        await target.vma.vm_lock.down_write()
        await taken_over(target, gone)
        await target.vma.vm_lock.up_write()
        await all_locked(target, gone)
        await joined(mm, target, start, end, pgoff, gone)


class AskForTheLink:
    """The other end: a fault asks for what it needs, and that is the link."""

    async def lock_vma_under_rcu(mm, address):
        while True:
            await mm.rcu.read_lock()
            vma = await mas_walk(mm, address)
            if vma is None or not await vma_start_read(vma):
                return await refuse(mm)
            if await vma.vm_file is None and not await vma.anon_vma_chain:
                return await refuse(mm, vma)
            if await leave_rcu_if_covered(vma, address):
                return vma
            detached = await vma.detached
            await refuse(mm, vma)
            if not detached:
                return None


class NeverMerge:
    """As many VMAs as there were calls of mmap."""

    async def vma_merge(mm, new):
        return None


# -- wrong ------------------------------------------------------------------------------------------------------------


class Unsolved:
    async def commit_merge(mm, target, start, end, pgoff, gone, rest, source):
        await taken_over(target, gone)
        await all_locked(target, gone)
        await joined(mm, target, start, end, pgoff, gone)


class LockInAnonVmaClone:
    """Whoever links a VMA locks it. The anon_vma is there by then."""

    async def anon_vma_clone(dst, src):
        await vma_start_write(dst)
        chain = await src.anon_vma_chain
        await dst.anon_vma_chain.set(chain)
        for anon_vma in chain:
            await anon_vma.get()


class LockWhatHasPages:
    """A VMA without an anon_vma has no faults under its lock: until it gets one."""

    async def commit_merge(mm, target, start, end, pgoff, gone, rest, source):
        for part in (target, *gone):
            if part.anon_vma is not None:
                await vma_start_write(part.vma)
        await taken_over(target, gone)
        await vma_start_write(target.vma)
        await joined(mm, target, start, end, pgoff, gone)


class WaitWithoutTheNumber:
    """Whoever is inside is waited for, and the next one let in."""

    async def commit_merge(mm, target, start, end, pgoff, gone, rest, source):
        await target.vma.vm_lock.down_write()
        await target.vma.vm_lock.up_write()
        await taken_over(target, gone)
        await all_locked(target, gone)
        await joined(mm, target, start, end, pgoff, gone)


class NumberWithoutWaiting:
    """A fault that is inside, and has not looked at the anon_vma yet, goes on."""

    async def commit_merge(mm, target, start, end, pgoff, gone, rest, source):
        await target.vma.vm_lock_seq.set(await mm.mm_lock_seq)
        await taken_over(target, gone)
        await all_locked(target, gone)
        await joined(mm, target, start, end, pgoff, gone)


class UnderPageTableLock:
    """As anon_vma_prepare sets the field. A fault that only asks whether it is set does not take that lock."""

    async def commit_merge(mm, target, start, end, pgoff, gone, rest, source):
        await mm.page_table_lock.lock()
        await taken_over(target, gone)
        await mm.page_table_lock.unlock()
        await all_locked(target, gone)
        await joined(mm, target, start, end, pgoff, gone)


class TakeOverAtTheEnd:
    """Nobody can look, but there is nothing left to take over."""

    async def commit_merge(mm, target, start, end, pgoff, gone, rest, source):
        await all_locked(target, gone)
        await joined(mm, target, start, end, pgoff, gone)
        await taken_over(target, gone)


class UnlinkFirst:
    async def commit_merge(mm, target, start, end, pgoff, gone, rest, source):
        await all_locked(target, gone)
        for part in gone:
            await unlink_anon_vmas(part.vma)
        await taken_over(target, gone)
        await joined(mm, target, start, end, pgoff, gone)


class LeaveItToTheNextFault:
    """A VMA without an anon_vma finds one at its first fault. The pages that it has now are filed in another."""

    async def commit_merge(mm, target, start, end, pgoff, gone, rest, source):
        await all_locked(target, gone)
        await joined(mm, target, start, end, pgoff, gone)


class PrepareTheTarget:
    """As a fault would do it; so the VMA has an anon_vma of its own, and its neighbour's pages are not in that."""

    async def commit_merge(mm, target, start, end, pgoff, gone, rest, source):
        await all_locked(target, gone)
        await anon_vma_prepare(target.vma)
        await joined(mm, target, start, end, pgoff, gone)


class LinkWithoutCounting:
    """The neighbour is the last that is counted, and it goes."""

    async def commit_merge(mm, target, start, end, pgoff, gone, rest, source):
        await all_locked(target, gone)
        for part in gone:
            if target.anon_vma is None and part.anon_vma is not None:
                await target.vma.anon_vma.set(part.anon_vma)
                await target.vma.anon_vma_chain.set(part.chain)
        await joined(mm, target, start, end, pgoff, gone)


class AskForTheLinkBeforeTheLock:
    """Enough against a merge, which only ever adds the link. Others take it away."""

    async def lock_vma_under_rcu(mm, address):
        while True:
            await mm.rcu.read_lock()
            vma = await mas_walk(mm, address)
            if vma is None or (await vma.vm_file is None and not await vma.anon_vma_chain):
                return await refuse(mm)
            if not await vma_start_read(vma):
                return await refuse(mm)
            if await leave_rcu_if_covered(vma, address):
                return vma
            detached = await vma.detached
            await refuse(mm, vma)
            if not detached:
                return None


BANK = Bank(
    repair="merge_locks_first",
    release="6.6-like-merge_locks_first",
    scenarios=("merge_dup_anon_vma", "anon_vma_unlocked_check"),
    right=(
        Linux,
        LockTheTargetFirst,
        LinkBeforeShowing,
        HoldTheSemaphore,
        AskForTheLink,
        NeverMerge,
    ),
    wrong={
        Unsolved: {"merge_dup_anon_vma": "misfiled"},
        LockInAnonVmaClone: {"merge_dup_anon_vma": "misfiled"},
        LockWhatHasPages: {"merge_dup_anon_vma": "misfiled"},
        WaitWithoutTheNumber: {"merge_dup_anon_vma": "misfiled"},
        NumberWithoutWaiting: {"merge_dup_anon_vma": "misfiled"},
        UnderPageTableLock: {"merge_dup_anon_vma": "misfiled"},
        TakeOverAtTheEnd: {"merge_dup_anon_vma": "freed_vma"},
        UnlinkFirst: {"merge_dup_anon_vma": "misfiled"},
        LeaveItToTheNextFault: {"merge_dup_anon_vma": "misfiled"},
        PrepareTheTarget: {"merge_dup_anon_vma": "misfiled"},
        LinkWithoutCounting: {"merge_dup_anon_vma": "misfiled"},
        AskForTheLinkBeforeTheLock: {"anon_vma_unlocked_check": "freed_node"},
    },
)
