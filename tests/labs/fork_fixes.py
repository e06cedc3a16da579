"""Answers to fb49c455323f: fork locks each VMA before it copies it, until the TLBs are flushed.

Most are lab 07's. What is here besides goes wrong where nothing in the lab does: with VMAs that are several and differ, and without the gate that keeps a
VMA's first fault away from the VMA lock.
"""

from mmlocks.mm import *  # noqa: F403  the labs' first cell does the same
from mmlocks.mm.maple import mas_walk
from mmlocks.mm.vma_lock import leave_rcu_if_covered
from tests.labs.banks import Bank
from tests.labs.lab07_fixes import (
    FlushAtWriteProtect,
    HoldEveryRwsem,
    Linux,
    LockAfterCopy,
    LockAfterDuplicatingTheVma,
    LockOnlyTheChild,
    LockOnlyTheFirstVma,
    LockOnlyWhatIsCopied,
    SetTheSequenceWithoutWaiting,
    UnlockBeforeFlush,
    Unsolved,
)


class FlushEverySecondVma:
    """Flushing in batches, and the last batch, which need not be full, after the unlock."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        copied = 0
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
            copied += 1
            if copied == 2:
                await flush_tlb_mm(oldmm)
                copied = 0
        await mmap_write_unlock(oldmm)
        if copied > 0:
            await flush_tlb_mm(oldmm)


class FlushOnceIsEnough:
    """A flush empties the TLBs of everything: so the first VMA that has pages does it, and not the next."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        flushed = False
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
            if not flushed and await mpnt.anon_vma is not None:
                await flush_tlb_mm(oldmm)
                flushed = True
        await mmap_write_unlock(oldmm)


class FlushAndUnlockEachVma:
    """Each VMA is done with when it has been copied and flushed. No store is lost; but the child's pages are of different moments."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
            await flush_tlb_mm(oldmm)
            await vma_end_write_all(oldmm)
        await mmap_write_unlock(oldmm)


class LetFaultsInBetweenPages:
    """fork gives the page-table lock up between pages, so that others may run; why not the VMA's?"""

    async def copy_page_range(dst_vma, src_vma):
        anon_vma, start, end = await together(src_vma.anon_vma, src_vma.vm_start, src_vma.vm_end)
        if anon_vma is None:
            return
        for page in range(page_of(start), page_of(end)):
            if page != page_of(start):
                await vma_end_write_all(src_vma.vm_mm)
            await vma_start_write(src_vma)
            await copy_present_pte(dst_vma, src_vma, page)


class NoGate:
    """Since fork locks its VMAs, a first fault need not fall back. That is true of a fork that locks all of them."""

    dup_mmap = LockOnlyWhatIsCopied.dup_mmap

    async def lock_vma_under_rcu(mm, address):
        await mm.rcu.read_lock()
        vma = await mas_walk(mm, address)
        if vma is not None and await vma_start_read(vma):
            if await leave_rcu_if_covered(vma, address):
                return vma
            await vma.vm_lock.up_read()
        await mm.rcu.read_unlock()
        return None


SCENARIOS_OF_FORK = (
    "fork_lost_store",
    "fork_torn_snapshot",
    "fork_torn_across_vmas",
    "young_reproducer",
    "fork_other_vma",
    "fork_first_touch",
)

BANK = Bank(
    repair="fork_locks_vmas",
    release="6.6-like-fork_locks_vmas",
    scenarios=SCENARIOS_OF_FORK,
    right=(Linux, LockAfterDuplicatingTheVma, HoldEveryRwsem, LockOnlyWhatIsCopied),
    wrong={
        Unsolved: {
            "fork_lost_store": "lost_store",
            "fork_torn_snapshot": "snapshot",
            "fork_torn_across_vmas": "snapshot",
            "young_reproducer": "lost_store",
        },
        LockAfterCopy: {
            "fork_lost_store": "lost_store",
            "fork_torn_snapshot": "snapshot",
            "fork_torn_across_vmas": "snapshot",
            "young_reproducer": "lost_store",
        },
        LockOnlyTheChild: {
            "fork_lost_store": "lost_store",
            "fork_torn_snapshot": "snapshot",
            "fork_torn_across_vmas": "snapshot",
            "young_reproducer": "lost_store",
        },
        UnlockBeforeFlush: {"fork_lost_store": "lost_store", "young_reproducer": "lost_store"},
        SetTheSequenceWithoutWaiting: dict.fromkeys(
            ("fork_torn_snapshot", "fork_torn_across_vmas"), "snapshot"
        ),
        LockOnlyTheFirstVma: {"young_reproducer": "lost_store"},
        FlushAtWriteProtect: dict.fromkeys(
            ("fork_torn_snapshot", "fork_torn_across_vmas"), "snapshot"
        ),
        FlushEverySecondVma: {"fork_lost_store": "lost_store"},
        FlushOnceIsEnough: {"fork_other_vma": "stale_translation"},
        LetFaultsInBetweenPages: {"fork_torn_snapshot": "snapshot"},
        FlushAndUnlockEachVma: {"fork_torn_across_vmas": "snapshot"},
        NoGate: {"fork_first_touch": "misfiled"},
    },
)
