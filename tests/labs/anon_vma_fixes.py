"""Answers to 657b5146955e: a fault asks for the anon_vma of its VMA once it has locked that VMA.

In the release without it, files apart, the VMA is asked before it is locked. mremap can take its anon_vma away in between, and the fault then walks to
the neighbours, which no lock of its own protects.
"""

from mmlocks.machine import together
from mmlocks.mm import *  # noqa: F403  the labs' first cell does the same
from mmlocks.mm.filemap import do_fault, vmf_anon_prepare
from mmlocks.mm.maple import find_vma_before, mas_walk
from mmlocks.mm.rmap import anon_vma_alloc, find_mergeable_anon_vma
from mmlocks.mm.vm_flags import VM_ACCESS_FLAGS, VM_SHARED, VM_WRITE
from mmlocks.mm.vma_lock import leave_rcu_if_covered
from tests.labs.banks import Bank


async def found(mm, address):
    """What comes before: inside an RCU section, the VMA at the address."""
    await mm.rcu.read_lock()
    return await mas_walk(mm, address)


async def refuse(mm, vma=None):
    """Leave the fault to the slow path."""
    if vma is not None:
        await vma.vm_lock.up_read()
    await mm.rcu.read_unlock()


async def has_anon_vma(vma):
    """Whether the VMA has what its faults need. A file's faults ask for themselves."""
    file, anon_vma = await together(vma.vm_file, vma.anon_vma)
    return file is not None or anon_vma is not None


async def settled(mm, vma, address):
    """What comes after it is locked: True if it is the VMA of that address, with the RCU section left; else it is unlocked.

    None if it is no longer in the tree, and another may be.
    """
    if await leave_rcu_if_covered(vma, address):
        return True
    detached = await vma.detached
    await refuse(mm, vma)
    return None if detached else False


async def handle(vma, address, flags):
    """handle_mm_fault as it is."""
    page = page_of(address)
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


async def link(vma, anon_vma):
    """The end of anon_vma_prepare: the VMA gets this anon_vma, or a fresh one, unless it has one by now."""
    mm = vma.vm_mm
    await mm.page_table_lock.lock()
    if await vma.anon_vma is None:
        anon_vma = anon_vma or await anon_vma_alloc(vma)
        await anon_vma.get()
        await vma.anon_vma.set(anon_vma)
        await vma.anon_vma_chain.set((anon_vma,))
    await mm.page_table_lock.unlock()


async def lock_whatever_is_there(mm, address):
    """lock_vma_under_rcu without a word on anon_vma."""
    while True:
        vma = await found(mm, address)
        if vma is None or not await vma_start_read(vma):
            return await refuse(mm)
        done = await settled(mm, vma, address)
        if done is not None:
            return vma if done else None


class Linux:
    async def lock_vma_under_rcu(mm, address):
        while True:
            vma = await found(mm, address)
            if vma is None or not await vma_start_read(vma):
                return await refuse(mm)
            if not await has_anon_vma(vma):
                return await refuse(mm, vma)
            done = await settled(mm, vma, address)
            if done is not None:
                return vma if done else None


# -- right, and different ---------------------------------------------------------------------------------------------


class BeforeAndUnderTheLock:
    """The look from outside saves a lock, the one from inside counts."""

    async def lock_vma_under_rcu(mm, address):
        while True:
            vma = await found(mm, address)
            if vma is None or not await has_anon_vma(vma) or not await vma_start_read(vma):
                return await refuse(mm)
            if not await has_anon_vma(vma):
                return await refuse(mm, vma)
            done = await settled(mm, vma, address)
            if done is not None:
                return vma if done else None


class OnceAllIsSettled:
    """Last of all, outside the RCU section: the lock is enough."""

    async def lock_vma_under_rcu(mm, address):
        vma = await lock_whatever_is_there(mm, address)
        if vma is not None and not await has_anon_vma(vma):
            await vma_end_read(vma)
            return None
        return vma


class FallBackInTheFault:
    """Locking knows nothing of anon_vma. A fault that finds none leaves the rest to the slow path."""

    async def lock_vma_under_rcu(mm, address):
        return await lock_whatever_is_there(mm, address)

    async def handle_mm_fault(vma, address, flags):
        if flags & FAULT_FLAG_VMA_LOCK and not await has_anon_vma(vma):
            return False
        return await handle(vma, address, flags)


class TryMmapLockInTheFault:
    """As Linux came to do later: mmap_lock for the walk alone, if it can be had at once."""

    async def lock_vma_under_rcu(mm, address):
        return await lock_whatever_is_there(mm, address)

    async def handle_mm_fault(vma, address, flags):
        if flags & FAULT_FLAG_VMA_LOCK and not await has_anon_vma(vma):
            mm = vma.vm_mm
            if not await mm.mmap_lock.try_read():
                return False
            await anon_vma_prepare(vma)
            await mmap_read_unlock(mm)
        return await handle(vma, address, flags)


class SynchronizeAfterUnlinking:
    """mremap waits for whoever has seen the old anon_vma. All of them find the VMA locked."""

    async def unlink_anon_vmas(vma):
        chain = await vma.anon_vma_chain
        if chain:
            await vma.anon_vma.set(None)
            await vma.anon_vma_chain.set(())
            for anon_vma in chain:
                await anon_vma.put()
            await vma.vm_mm.rcu.synchronize()


# -- wrong ------------------------------------------------------------------------------------------------------------


class Unsolved:
    async def lock_vma_under_rcu(mm, address):
        while True:
            vma = await found(mm, address)
            if vma is None or not await has_anon_vma(vma) or not await vma_start_read(vma):
                return await refuse(mm)
            done = await settled(mm, vma, address)
            if done is not None:
                return vma if done else None


class LookTwice:
    """Twice from outside is no better than once."""

    async def lock_vma_under_rcu(mm, address):
        while True:
            vma = await found(mm, address)
            if vma is None or not await has_anon_vma(vma) or not await has_anon_vma(vma):
                return await refuse(mm)
            if not await vma_start_read(vma):
                return await refuse(mm)
            done = await settled(mm, vma, address)
            if done is not None:
                return vma if done else None


class LookAtTheChain:
    """Another field, at the same wrong time."""

    async def lock_vma_under_rcu(mm, address):
        while True:
            vma = await found(mm, address)
            if vma is None or not await vma.anon_vma_chain or not await vma_start_read(vma):
                return await refuse(mm)
            done = await settled(mm, vma, address)
            if done is not None:
                return vma if done else None


class RcuAroundTheWalk:
    """The neighbour cannot be freed while we look at it. Its anon_vma is freed before we use that."""

    async def anon_vma_prepare(vma):
        if await vma.anon_vma is not None:
            return
        await vma.vm_mm.rcu.read_lock()
        anon_vma = await find_mergeable_anon_vma(vma)
        await vma.vm_mm.rcu.read_unlock()
        await link(vma, anon_vma)


class RcuOverTheWholeFault:
    """A fault may sleep, which nobody may in an RCU section. And RCU does not keep a neighbour's anon_vma."""

    async def lock_vma_under_rcu(mm, address):
        vma = await found(mm, address)
        if vma is None or not await has_anon_vma(vma) or not await vma_start_read(vma):
            return await refuse(mm)
        start, end, detached = await together(vma.vm_start, vma.vm_end, vma.detached)
        if detached or not start <= address < end:
            return await refuse(mm, vma)
        return vma

    async def vma_end_read(vma):
        await vma.vm_lock.up_read()
        await vma.vm_mm.rcu.read_unlock()


class ForgetToUnlock:
    async def lock_vma_under_rcu(mm, address):
        while True:
            vma = await found(mm, address)
            if vma is None or not await vma_start_read(vma) or not await has_anon_vma(vma):
                return await refuse(mm)
            done = await settled(mm, vma, address)
            if done is not None:
                return vma if done else None


class OnlyThePreviousNeighbour:
    """The next one may be unmapped under our eyes. So may the nodes on the way to the previous one."""

    async def find_mergeable_anon_vma(vma):
        start, pgoff, flags = await together(vma.vm_start, vma.vm_pgoff, vma.vm_flags)
        before = await find_vma_before(vma.vm_mm, start)
        if before is None:
            return None
        low, high, offset, theirs, anon_vma, chain = await together(
            before.vm_start,
            before.vm_end,
            before.vm_pgoff,
            before.vm_flags,
            before.anon_vma,
            before.anon_vma_chain,
        )
        in_line = high == start and pgoff - offset == (start - low) // PAGE_SIZE
        return anon_vma if in_line and flags == theirs and len(chain) == 1 else None


class TryMmapLockAfterTheWalk:
    """The lock for what the walk found, when the walk is over."""

    async def lock_vma_under_rcu(mm, address):
        return await lock_whatever_is_there(mm, address)

    async def handle_mm_fault(vma, address, flags):
        if flags & FAULT_FLAG_VMA_LOCK and not await has_anon_vma(vma):
            anon_vma = await find_mergeable_anon_vma(vma)
            if not await vma.vm_mm.mmap_lock.try_read():
                return False
            await link(vma, anon_vma)
            await mmap_read_unlock(vma.vm_mm)
        return await handle(vma, address, flags)


class WaitForMmapLockInTheFault:
    """Whoever has mmap_lock for writing waits for this VMA, and whoever has the VMA waits for mmap_lock."""

    async def lock_vma_under_rcu(mm, address):
        return await lock_whatever_is_there(mm, address)

    async def handle_mm_fault(vma, address, flags):
        if flags & FAULT_FLAG_VMA_LOCK and not await has_anon_vma(vma):
            await mmap_read_lock(vma.vm_mm)
            await anon_vma_prepare(vma)
            await mmap_read_unlock(vma.vm_mm)
        return await handle(vma, address, flags)


class FallBackOnlyWhereNothingIsMapped:
    """A store to a page that a load has touched maps the first anonymous page as well."""

    async def lock_vma_under_rcu(mm, address):
        return await lock_whatever_is_there(mm, address)

    async def handle_mm_fault(vma, address, flags):
        untouched = await vma.vm_mm.page_table.pte[page_of(address)] is None
        if flags & FAULT_FLAG_VMA_LOCK and untouched and not await has_anon_vma(vma):
            return False
        return await handle(vma, address, flags)


class SynchronizeBeforeUnlinking:
    """Whoever comes after that, and before the field is empty, has seen the old anon_vma too."""

    async def unlink_anon_vmas(vma):
        await vma.vm_mm.rcu.synchronize()
        chain = await vma.anon_vma_chain
        if chain:
            await vma.anon_vma.set(None)
            await vma.anon_vma_chain.set(())
            for anon_vma in chain:
                await anon_vma.put()


class NoWalk:
    """An anon_vma of its own needs no neighbours. But whoever merges VMAs under mmap_lock has looked at this one already."""

    async def lock_vma_under_rcu(mm, address):
        return await lock_whatever_is_there(mm, address)

    async def anon_vma_prepare(vma):
        if await vma.anon_vma is None:
            await link(vma, None)


class BelieveTheAnonVma:
    """A VMA with an anon_vma is in use, so there is nothing else to ask. One that munmap has cut out still has it."""

    async def lock_vma_under_rcu(mm, address):
        vma = await found(mm, address)
        if vma is None or not await vma_start_read(vma):
            return await refuse(mm)
        if not await has_anon_vma(vma):
            return await refuse(mm, vma)
        await mm.rcu.read_unlock()
        return vma


BANK = Bank(
    repair="anon_vma_checked_locked",
    release="6.6-like-anon_vma_checked_locked",
    scenarios=("anon_vma_unlocked_check", "merge_dup_anon_vma", "munmap_downgrade"),
    right=(
        Linux,
        BeforeAndUnderTheLock,
        OnceAllIsSettled,
        FallBackInTheFault,
        TryMmapLockInTheFault,
        SynchronizeAfterUnlinking,
    ),
    wrong={
        Unsolved: {"anon_vma_unlocked_check": "freed_node"},
        LookTwice: {"anon_vma_unlocked_check": "freed_node"},
        LookAtTheChain: {"anon_vma_unlocked_check": "freed_node"},
        RcuAroundTheWalk: {"anon_vma_unlocked_check": "freed_anon_vma"},
        RcuOverTheWholeFault: {"anon_vma_unlocked_check": "freed_anon_vma"},
        ForgetToUnlock: {
            "anon_vma_unlocked_check": "lock_misuse",
            "merge_dup_anon_vma": "deadlock",
            "munmap_downgrade": "freed_vma",
        },
        OnlyThePreviousNeighbour: {"anon_vma_unlocked_check": "freed_node"},
        TryMmapLockAfterTheWalk: {"anon_vma_unlocked_check": "freed_node"},
        WaitForMmapLockInTheFault: {"merge_dup_anon_vma": "deadlock"},
        FallBackOnlyWhereNothingIsMapped: {"anon_vma_unlocked_check": "freed_node"},
        SynchronizeBeforeUnlinking: {"anon_vma_unlocked_check": "freed_node"},
        NoWalk: {"merge_dup_anon_vma": "misfiled"},
        BelieveTheAnonVma: {"munmap_downgrade": "freed_vma"},
    },
)
