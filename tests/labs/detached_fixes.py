"""What could be in place of the detached mark, by which a fault sees that the VMA that it has locked is out of the tree.

No release lacks it. The answers take something away from munmap, or from those who look for a VMA, and put something else there. All unmap whole VMAs:
the scenario does nothing else.
"""

from mmlocks.machine import together
from mmlocks.mm import *  # noqa: F403  the labs' first cell does the same
from mmlocks.mm.maple import mas_walk, vma_iter_store
from mmlocks.mm.pagecache import unlink_file_vma
from mmlocks.mm.rmap import unlink_anon_vmas
from mmlocks.mm.syscalls.munmap import do_vmi_munmap, unmap_region, zap_page_range
from mmlocks.mm.vma import vm_area_free
from tests.labs.banks import Bank


async def taken_out(mm, start, vmas):
    """The end of do_vmi_munmap: the tree no longer leads to the VMAs."""
    await vma_iter_store(mm, start, start + len(vmas) * PAGE_SIZE, None)
    await mm.map_count.add(-len(vmas))
    return vmas


async def fit(vma):
    """Whether faults there may do without mmap_lock: those of a file, and of anonymous memory that has its anon_vma."""
    file, anon_vma = await together(vma.vm_file, vma.anon_vma)
    return file is not None or anon_vma is not None


async def locked(mm, address):
    """The VMA at an address, locked for reading and fit for a fault, inside an RCU section; None, and the section left, if there is none."""
    await mm.rcu.read_lock()
    vma = await mas_walk(mm, address)
    if vma is not None and await vma_start_read(vma):
        if await fit(vma):
            return vma
        await vma.vm_lock.up_read()
    await mm.rcu.read_unlock()
    return None


async def inside(vma, address):
    """Whether the VMA has the address in its range."""
    start, end = await together(vma.vm_start, vma.vm_end)
    return start <= address < end


async def unlocked(mm, vma):
    """Let a VMA go, and then the RCU section that kept it."""
    await vma.vm_lock.up_read()
    await mm.rcu.read_unlock()


class Linux:
    """Marked under the VMA lock, and looked at under the VMA lock."""

    async def do_vmi_munmap(mm, start, length):
        vmas = await for_each_vma(mm, start, start + length)
        for vma in vmas:
            await vma_start_write(vma)
            await vma.detached.set(True)
        return await taken_out(mm, start, vmas)

    async def lock_vma_under_rcu(mm, address):
        while True:
            vma = await locked(mm, address)
            if vma is None:
                return None
            gone = await vma.detached
            if not gone and await inside(vma, address):
                await mm.rcu.read_unlock()
                return vma
            await unlocked(mm, vma)
            if not gone:
                return None


# -- right, and different ---------------------------------------------------------------------------------------------


class GiveUp:
    """The slow path looks again, too."""

    async def lock_vma_under_rcu(mm, address):
        vma = await locked(mm, address)
        if vma is not None:
            if not await vma.detached and await inside(vma, address):
                await mm.rcu.read_unlock()
                return vma
            await unlocked(mm, vma)
        return None


class WalkAgainUnderTheLock:
    """No mark: the tree itself says whether the VMA is in it, and while it is locked nobody takes it out."""

    async def do_vmi_munmap(mm, start, length):
        vmas = await for_each_vma(mm, start, start + length)
        for vma in vmas:
            await vma_start_write(vma)
        return await taken_out(mm, start, vmas)

    async def lock_vma_under_rcu(mm, address):
        while True:
            vma = await locked(mm, address)
            if vma is None:
                return None
            if await mas_walk(mm, address) is vma:
                await mm.rcu.read_unlock()
                return vma
            await unlocked(mm, vma)


class NoDowngrade:
    """mmap_lock for writing to the end, as before there was a downgrade; who comes later still needs the mark."""

    async def munmap(mm, start, length):
        await mmap_write_lock(mm)
        await unmap_region(mm, await do_vmi_munmap(mm, start, length))
        await mmap_write_unlock(mm)
        return 0


class SynchronizeBeforeTheDowngrade:
    """No mark: whoever has found one of the VMAs finds it locked, and has given up before it is unlocked."""

    async def do_vmi_munmap(mm, start, length):
        vmas = await for_each_vma(mm, start, start + length)
        for vma in vmas:
            await vma_start_write(vma)
        await taken_out(mm, start, vmas)
        await mm.rcu.synchronize()
        return vmas


# -- wrong ------------------------------------------------------------------------------------------------------------


class Unsolved:
    """The tree leads nobody there any more; but somebody may be there."""

    async def do_vmi_munmap(mm, start, length):
        vmas = await for_each_vma(mm, start, start + length)
        for vma in vmas:
            await vma_start_write(vma)
        return await taken_out(mm, start, vmas)


class LookAtTheRange:
    """munmap does not change the range of what it cuts out whole."""

    async def lock_vma_under_rcu(mm, address):
        vma = await locked(mm, address)
        if vma is not None:
            if await inside(vma, address):
                await mm.rcu.read_unlock()
                return vma
            await unlocked(mm, vma)
        return None


class LookBeforeLocking:
    async def lock_vma_under_rcu(mm, address):
        await mm.rcu.read_lock()
        vma = await mas_walk(mm, address)
        if vma is None or await vma.detached or not await vma_start_read(vma):
            await mm.rcu.read_unlock()
            return None
        if not await fit(vma) or not await inside(vma, address):
            return await unlocked(mm, vma)
        await mm.rcu.read_unlock()
        return vma


class LeaveRcuTooEarly:
    """The lock keeps a VMA as it is. That it *is* at all, RCU sees to, if it has gone out of the tree."""

    async def lock_vma_under_rcu(mm, address):
        vma = await locked(mm, address)
        if vma is None:
            return None
        await mm.rcu.read_unlock()
        if not await vma.detached and await inside(vma, address):
            return vma
        await vma.vm_lock.up_read()
        return None


class LookAgainWithoutUnlocking:
    async def lock_vma_under_rcu(mm, address):
        while True:
            vma = await locked(mm, address)
            if vma is None:
                return None
            if not await vma.detached and await inside(vma, address):
                await mm.rcu.read_unlock()
                return vma
            await mm.rcu.read_unlock()


class MarkAfterTheDowngrade:
    async def do_vmi_munmap(mm, start, length):
        vmas = await for_each_vma(mm, start, start + length)
        for vma in vmas:
            await vma_start_write(vma)
        return await taken_out(mm, start, vmas)

    async def munmap(mm, start, length):
        await mmap_write_lock(mm)
        gone = await do_vmi_munmap(mm, start, length)
        await mmap_write_downgrade(mm)
        for vma in gone:
            await vma.detached.set(True)
        await unmap_region(mm, gone)
        await mmap_read_unlock(mm)
        return 0


class MarkTheFirst:
    async def do_vmi_munmap(mm, start, length):
        vmas = await for_each_vma(mm, start, start + length)
        for vma in vmas:
            await vma_start_write(vma)
        for vma in vmas[:1]:
            await vma.detached.set(True)
        return await taken_out(mm, start, vmas)


class MarkWithoutLocking:
    """The mark keeps out whoever comes later, and waits for nobody who is inside."""

    async def do_vmi_munmap(mm, start, length):
        vmas = await for_each_vma(mm, start, start + length)
        for vma in vmas:
            await vma.detached.set(True)
        return await taken_out(mm, start, vmas)


class EmptyTheRange:
    """No address lies in a VMA without a range; and its pages are found by its range."""

    async def do_vmi_munmap(mm, start, length):
        vmas = await for_each_vma(mm, start, start + length)
        for vma in vmas:
            await vma_start_write(vma)
            await vma.vm_end.set(await vma.vm_start)
        return await taken_out(mm, start, vmas)


class NoDowngradeAndNoMark:
    """mmap_lock for writing to the end, and then the VMA is unlocked all the same, for whoever still has it."""

    async def do_vmi_munmap(mm, start, length):
        vmas = await for_each_vma(mm, start, start + length)
        for vma in vmas:
            await vma_start_write(vma)
        return await taken_out(mm, start, vmas)

    async def munmap(mm, start, length):
        await mmap_write_lock(mm)
        await unmap_region(mm, await do_vmi_munmap(mm, start, length))
        await mmap_write_unlock(mm)
        return 0


class SynchronizeAfterTheDowngrade:
    """Readers of the old time may be waited for while they find the VMA locked, not when they can lock it."""

    async def do_vmi_munmap(mm, start, length):
        vmas = await for_each_vma(mm, start, start + length)
        for vma in vmas:
            await vma_start_write(vma)
        return await taken_out(mm, start, vmas)

    async def munmap(mm, start, length):
        await mmap_write_lock(mm)
        gone = await do_vmi_munmap(mm, start, length)
        await mmap_write_downgrade(mm)
        await mm.rcu.synchronize()
        await unmap_region(mm, gone)
        await mmap_read_unlock(mm)
        return 0


class LockedOneRoundMore:
    """The number that mm_lock_seq is about to have: locked from the downgrade on, and not until then."""

    async def do_vmi_munmap(mm, start, length):
        vmas = await for_each_vma(mm, start, start + length)
        for vma in vmas:
            await vma_start_write(vma)
            await vma.vm_lock_seq.set(await mm.mm_lock_seq + 1)
        return await taken_out(mm, start, vmas)


class HoldTheSemaphore:
    """Held until the VMA is freed. It is freed when RCU says so, and held no longer then."""

    async def do_vmi_munmap(mm, start, length):
        vmas = await for_each_vma(mm, start, start + length)
        for vma in vmas:
            await vma.vm_lock.down_write()
        return await taken_out(mm, start, vmas)

    async def unmap_region(mm, gone):
        for vma in gone:
            start, end = await together(vma.vm_start, vma.vm_end)
            await zap_page_range(mm, start, end)
        for vma in gone:
            await unlink_anon_vmas(vma)
            file = await vma.vm_file
            if file is not None:
                await unlink_file_vma(file, vma)
            await vma.vm_lock.up_write()
            await vm_area_free(vma)


BANK = Bank(
    repair="",
    release="6.6-like",
    scenarios=("munmap_downgrade",),
    right=(Linux, GiveUp, WalkAgainUnderTheLock, NoDowngrade, SynchronizeBeforeTheDowngrade),
    wrong={
        Unsolved: {"munmap_downgrade": "freed_vma"},
        LookAtTheRange: {"munmap_downgrade": "freed_vma"},
        LookBeforeLocking: {"munmap_downgrade": "freed_vma"},
        LeaveRcuTooEarly: {"munmap_downgrade": "freed_vma"},
        LookAgainWithoutUnlocking: {"munmap_downgrade": "freed_vma"},
        MarkAfterTheDowngrade: {"munmap_downgrade": "freed_vma"},
        MarkTheFirst: {"munmap_downgrade": "freed_vma"},
        MarkWithoutLocking: {"munmap_downgrade": "freed_vma"},
        EmptyTheRange: {"munmap_downgrade": "stray_page"},
        NoDowngradeAndNoMark: {"munmap_downgrade": "freed_vma"},
        SynchronizeAfterTheDowngrade: {"munmap_downgrade": "freed_vma"},
        LockedOneRoundMore: {"munmap_downgrade": "freed_vma"},
        HoldTheSemaphore: {"munmap_downgrade": "freed_vma"},
    },
)
