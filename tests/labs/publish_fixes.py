"""Versions of mmap_region and its like for the two repairs of July 2023: wrong ones by their mistake, and right ones that are not Linux's.

Each is one class with the kernel functions that it replaces, in 6.6-like without the repair. PUBLISH is about 33313a747e81 (a new VMA is locked
before the tree shows it), ORDER about 1c7873e33645 (and before i_mmap_rwsem is taken).

All map files alone, and never merge: the scenarios do nothing else.
"""

from mmlocks.machine import together
from mmlocks.mm import *  # noqa: F403  the labs' first cell does the same
from mmlocks.mm.maple import vma_iter_store
from mmlocks.mm.pagecache import (
    i_mmap_lock_write,
    i_mmap_unlock_write,
    vma_link_file,
    vma_set_page_prot,
    writable_from_the_start,
)
from mmlocks.mm.syscalls.munmap import do_munmap
from mmlocks.mm.vma import vm_area_alloc
from tests.labs.banks import Bank


async def begun(mm, address, length, vm_flags, file, pgoff):
    """What comes before: the place is free, and there is a VMA for it, which nobody knows."""
    await do_munmap(mm, address, length)
    return await vm_area_alloc(mm, address, address + length, pgoff, vm_flags, file)


async def published(mm, vma, file):
    """What mmap_region does without either repair: tree and file, in Linux's order."""
    start, end = await together(vma.vm_start, vma.vm_end)
    await i_mmap_lock_write(file)
    await vma_iter_store(mm, start, end, vma)
    await mm.map_count.add(1)
    await vma_link_file(file, vma)
    await i_mmap_unlock_write(file)


class Publish:
    """33313a747e81 and 1c7873e33645 together."""

    class Linux:
        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await vma_start_write(vma)
            await published(mm, vma, file)
            await vma_set_page_prot(vma)
            return address

    # -- right, and different -----------------------------------------------------------------------------------------

    class PageProtFirst:
        """Nothing is left to be changed once the tree shows it, so nothing needs a lock."""

        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await vma_set_page_prot(vma)
            await published(mm, vma, file)
            return address

    class BornWithItsPageProt:
        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            await do_munmap(mm, address, length)
            final = writable_from_the_start(vm_flags, file)
            vma = await vm_area_alloc(mm, address, address + length, pgoff, vm_flags, file, final)
            await published(mm, vma, file)
            return address

    class HoldTheSemaphore:
        """The semaphore itself, for as long as it takes: no sequence numbers."""

        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await vma.vm_lock.down_write()
            await published(mm, vma, file)
            await vma_set_page_prot(vma)
            await vma.vm_lock.up_write()
            return address

    class SetTheNumber:
        """Without the semaphore: nobody can hold it for reading yet, so there is nobody to wait for."""

        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await vma.vm_lock_seq.set(await mm.mm_lock_seq)
            await published(mm, vma, file)
            await vma_set_page_prot(vma)
            return address

    class BornDetached:
        """As Linux does since 6.15: who finds it looks again, until it is attached."""

        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await vma.detached.set(True)
            await published(mm, vma, file)
            await vma_set_page_prot(vma)
            await vma.detached.set(False)
            return address

    class ReadOnlyUntilTheFirstStore:
        """The other end: a load never makes an entry writable, whatever the VMA says."""

        async def do_read_fault(vma, file, page):
            table = vma.vm_mm.page_table
            start, pgoff = await together(vma.vm_start, vma.vm_pgoff)
            folio = file.frame(pgoff + page - start // PAGE_SIZE)
            await table.ptl[page].lock()
            if folio is not None and await table.pte[page] is None:
                await folio_get(folio)
                await set_pte_at(vma.vm_mm, page, Pte(folio, False))
            await table.ptl[page].unlock()
            return folio is not None

    # -- wrong --------------------------------------------------------------------------------------------------------

    class Unsolved:
        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await published(mm, vma, file)
            await vma_set_page_prot(vma)
            return address

    class LockAfterTheTree:
        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await vma_iter_store(mm, address, address + length, vma)
            await vma_start_write(vma)
            await mm.map_count.add(1)
            await i_mmap_lock_write(file)
            await vma_link_file(file, vma)
            await i_mmap_unlock_write(file)
            await vma_set_page_prot(vma)
            return address

    class LockAfterTheFile:
        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await published(mm, vma, file)
            await vma_start_write(vma)
            await vma_set_page_prot(vma)
            return address

    class LockInVmaSetPageProt:
        """Whoever changes a field locks the VMA: so does vm_flags_set. It is too late for a VMA that was shown before."""

        async def vma_set_page_prot(vma):
            await vma_start_write(vma)
            vm_flags, file = await together(vma.vm_flags, vma.vm_file)
            await vma.vm_page_prot.set(writable_from_the_start(vm_flags, file))

    class LockTheNeighbour:
        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            above = await find_vma(mm, address)
            if above is not None:
                await vma_start_write(above)
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await published(mm, vma, file)
            await vma_set_page_prot(vma)
            return address

    class LockAndLetGo:
        """vma_start_write without its number: it waits for readers, of whom there are none, and keeps nobody out."""

        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await vma.vm_lock.down_write()
            await vma.vm_lock.up_write()
            await published(mm, vma, file)
            await vma_set_page_prot(vma)
            return address

    class LetGoBeforePageProt:
        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await vma.vm_lock.down_write()
            await published(mm, vma, file)
            await vma.vm_lock.up_write()
            await vma_set_page_prot(vma)
            return address

    class HoldTheSemaphoreForReading:
        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await vma.vm_lock.down_read()
            await published(mm, vma, file)
            await vma_set_page_prot(vma)
            await vma.vm_lock.up_read()
            return address

    class KeepTheSemaphore:
        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await vma.vm_lock.down_write()
            await published(mm, vma, file)
            await vma_set_page_prot(vma)
            return address

    class SetAnOldNumber:
        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await vma.vm_lock_seq.set(await mm.mm_lock_seq - 1)
            await published(mm, vma, file)
            await vma_set_page_prot(vma)
            return address

    class SetTheNextNumber:
        """That of whoever takes mmap_lock for writing next."""

        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await vma.vm_lock_seq.set(await mm.mm_lock_seq + 1)
            await published(mm, vma, file)
            await vma_set_page_prot(vma)
            return address

    class UnlockAllTooEarly:
        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await vma_start_write(vma)
            await published(mm, vma, file)
            await vma_end_write_all(mm)
            await vma_set_page_prot(vma)
            return address

    class AttachTooEarly:
        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await vma.detached.set(True)
            await published(mm, vma, file)
            await vma.detached.set(False)
            await vma_set_page_prot(vma)
            return address

    class PageProtFirstForPrivateFiles:
        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            if not vm_flags & 0x8:  # VM_SHARED
                await vma_set_page_prot(vma)
            await published(mm, vma, file)
            await vma_set_page_prot(vma)
            return address

    class PageProtUnderTheFileLock:
        """i_mmap_rwsem keeps out whoever looks for mappings. Faults look in the tree."""

        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await i_mmap_lock_write(file)
            await vma_iter_store(mm, address, address + length, vma)
            await mm.map_count.add(1)
            await vma_link_file(file, vma)
            await vma_set_page_prot(vma)
            await i_mmap_unlock_write(file)
            return address

    class WaitForRcuReaders:
        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await published(mm, vma, file)
            await mm.rcu.synchronize()
            await vma_set_page_prot(vma)
            return address

    class WriteProtectAfterwards:
        """What went wrong is put right: until then it has gone wrong."""

        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await published(mm, vma, file)
            await vma_set_page_prot(vma)
            page = page_of(address)
            await mm.page_table.ptl[page].lock()
            entry = await mm.page_table.pte[page]
            if entry is not None:
                await ptep_set_wrprotect(mm, page, entry)
                await flush_tlb_page(mm, page)
            await mm.page_table.ptl[page].unlock()
            return address


class Order:
    """1c7873e33645 alone: the VMA is locked early enough, and under i_mmap_rwsem."""

    class Linux(Publish.Linux):
        """VMA first, file second."""

        mmap_region = Publish.Linux.mmap_region

    # -- right, and different -----------------------------------------------------------------------------------------

    class PageProtFirst:
        """No lock, no order."""

        mmap_region = Publish.PageProtFirst.mmap_region

    class SetTheNumberInside:
        """Under i_mmap_rwsem, but without the semaphore: what is not waited for has no place in the order."""

        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await i_mmap_lock_write(file)
            await vma.vm_lock_seq.set(await mm.mm_lock_seq)
            await vma_iter_store(mm, address, address + length, vma)
            await mm.map_count.add(1)
            await vma_link_file(file, vma)
            await i_mmap_unlock_write(file)
            await vma_set_page_prot(vma)
            return address

    class LockAgainInside:
        """The second vma_start_write sees that the VMA is locked, and does nothing."""

        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await vma_start_write(vma)
            await i_mmap_lock_write(file)
            await vma_start_write(vma)
            await vma_iter_store(mm, address, address + length, vma)
            await mm.map_count.add(1)
            await vma_link_file(file, vma)
            await i_mmap_unlock_write(file)
            await vma_set_page_prot(vma)
            return address

    class FileAfterTheTree:
        """The file lock only around what it protects."""

        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await vma_start_write(vma)
            await vma_iter_store(mm, address, address + length, vma)
            await mm.map_count.add(1)
            await i_mmap_lock_write(file)
            await vma_link_file(file, vma)
            await i_mmap_unlock_write(file)
            await vma_set_page_prot(vma)
            return address

    class TrylockOnce:
        """One try, and it cannot fail: nobody else knows this VMA's semaphore."""

        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await i_mmap_lock_write(file)
            await vma.vm_lock.try_write()
            await vma.vm_lock_seq.set(await mm.mm_lock_seq)
            await vma.vm_lock.up_write()
            await vma_iter_store(mm, address, address + length, vma)
            await mm.map_count.add(1)
            await vma_link_file(file, vma)
            await i_mmap_unlock_write(file)
            await vma_set_page_prot(vma)
            return address

    # -- wrong --------------------------------------------------------------------------------------------------------

    class Unsolved:
        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await i_mmap_lock_write(file)
            await vma_start_write(vma)
            await vma_iter_store(mm, address, address + length, vma)
            await mm.map_count.add(1)
            await vma_link_file(file, vma)
            await i_mmap_unlock_write(file)
            await vma_set_page_prot(vma)
            return address

    class FileLockForReading:
        """Readers do not wait for each other; they wait for a writer that waits for a VMA."""

        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await file.i_mmap_rwsem.down_read()
            await vma_start_write(vma)
            await file.i_mmap_rwsem.up_read()
            await published(mm, vma, file)
            await vma_set_page_prot(vma)
            return address

    class LockBetweenTwoHolds:
        """The file lock is given up and taken again, but not where it matters."""

        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await i_mmap_lock_write(file)
            await vma_start_write(vma)
            await i_mmap_unlock_write(file)
            await published(mm, vma, file)
            await vma_set_page_prot(vma)
            return address

    class SemaphoreAgainInside:
        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await vma_start_write(vma)
            await i_mmap_lock_write(file)
            await vma.vm_lock.down_write()
            await vma.vm_lock.up_write()
            await vma_iter_store(mm, address, address + length, vma)
            await mm.map_count.add(1)
            await vma_link_file(file, vma)
            await i_mmap_unlock_write(file)
            await vma_set_page_prot(vma)
            return address

    class HoldTheSemaphoreInside:
        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await i_mmap_lock_write(file)
            await vma.vm_lock.down_write()
            await vma_iter_store(mm, address, address + length, vma)
            await mm.map_count.add(1)
            await vma_link_file(file, vma)
            await i_mmap_unlock_write(file)
            await vma_set_page_prot(vma)
            await vma.vm_lock.up_write()
            return address

    class ReadLockInside:
        """To wait for a reader is to wait as well."""

        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await i_mmap_lock_write(file)
            await vma.vm_lock.down_read()
            await vma.vm_lock_seq.set(await mm.mm_lock_seq)
            await vma.vm_lock.up_read()
            await vma_iter_store(mm, address, address + length, vma)
            await mm.map_count.add(1)
            await vma_link_file(file, vma)
            await i_mmap_unlock_write(file)
            await vma_set_page_prot(vma)
            return address

    class LockTheNeighboursInside:
        """Others do hold those: this one really deadlocks."""

        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await vma_start_write(vma)
            await i_mmap_lock_write(file)
            for other in await for_each_vma(mm):
                await vma_start_write(other)
            await vma_iter_store(mm, address, address + length, vma)
            await mm.map_count.add(1)
            await vma_link_file(file, vma)
            await i_mmap_unlock_write(file)
            await vma_set_page_prot(vma)
            return address

    class LockLater:
        """In the right order, and too late."""

        mmap_region = Publish.LockAfterTheFile.mmap_region

    class LockInVmaLinkFile:
        """Too late, and in the wrong order."""

        mmap_region = Publish.Unsolved.mmap_region

        async def vma_link_file(file, vma):
            await vma_start_write(vma)
            await file.i_mmap.set((*await file.i_mmap, vma))

    class UnlockBeforeTheFile:
        """So as to hold one lock at a time."""

        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await vma_start_write(vma)
            await vma_end_write_all(mm)
            await published(mm, vma, file)
            await vma_set_page_prot(vma)
            return address

    class KeepTheFileLock:
        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await vma_start_write(vma)
            await i_mmap_lock_write(file)
            await vma_iter_store(mm, address, address + length, vma)
            await mm.map_count.add(1)
            await vma_link_file(file, vma)
            await vma_set_page_prot(vma)
            return address

    class FileLockAroundMmapLock:
        """Taken by whoever calls mmap, before anything else."""

        async def mmap(mm, address, length, prot, flags, file=None, offset=0):
            await i_mmap_lock_write(file)
            await mmap_write_lock(mm)
            result = await mmap_region(mm, address, length, prot | 0x70 | 0x88, file, offset)
            await mmap_write_unlock(mm)
            await i_mmap_unlock_write(file)
            return result

        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await vma_start_write(vma)
            await vma_iter_store(mm, address, address + length, vma)
            await mm.map_count.add(1)
            await vma_link_file(file, vma)
            await vma_set_page_prot(vma)
            return address


class Unseen:
    """Wrong orders that nobody sees here: not lockdep, and not our oracle."""

    class TrylockThenWait:
        """The try never fails here, and so the waiting never happens. What is seen is what happens, and this one is not."""

        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await i_mmap_lock_write(file)
            if not await vma.vm_lock.try_write():
                await vma.vm_lock.down_write()
            await vma.vm_lock_seq.set(await mm.mm_lock_seq)
            await vma.vm_lock.up_write()
            await vma_iter_store(mm, address, address + length, vma)
            await mm.map_count.add(1)
            await vma_link_file(file, vma)
            await i_mmap_unlock_write(file)
            await vma_set_page_prot(vma)
            return address

    class TrylockInALoop:
        """A loop of tries waits like any lock; lockdep, who asks for an order only where somebody waits, cannot know."""

        async def mmap_region(mm, address, length, vm_flags, file, pgoff):
            vma = await begun(mm, address, length, vm_flags, file, pgoff)
            await i_mmap_lock_write(file)
            while not await vma.vm_lock.try_write():
                pass
            await vma.vm_lock_seq.set(await mm.mm_lock_seq)
            await vma.vm_lock.up_write()
            await vma_iter_store(mm, address, address + length, vma)
            await mm.map_count.add(1)
            await vma_link_file(file, vma)
            await i_mmap_unlock_write(file)
            await vma_set_page_prot(vma)
            return address


SEEN_EARLY = {"publish_early": "unnoticed_store"}
WRONG_ORDER = {"imap_lock_order": "lock_order"}

PUBLISH = Bank(
    repair="new_vma_locked",
    release="6.6-like-new_vma_locked",
    scenarios=("publish_early", "imap_lock_order"),
    right=(
        Publish.Linux, Publish.PageProtFirst, Publish.BornWithItsPageProt, Publish.HoldTheSemaphore, Publish.SetTheNumber,
        Publish.BornDetached, Publish.ReadOnlyUntilTheFirstStore,
    ),
    wrong={
        **dict.fromkeys(
            (
                Publish.Unsolved, Publish.LockAfterTheTree, Publish.LockAfterTheFile, Publish.LockInVmaSetPageProt, Publish.LockTheNeighbour,
                Publish.LockAndLetGo, Publish.LetGoBeforePageProt, Publish.HoldTheSemaphoreForReading, Publish.SetAnOldNumber,
                Publish.SetTheNextNumber, Publish.UnlockAllTooEarly, Publish.AttachTooEarly, Publish.PageProtFirstForPrivateFiles,
                Publish.PageProtUnderTheFileLock, Publish.WaitForRcuReaders, Publish.WriteProtectAfterwards,
            ),
            SEEN_EARLY,
        ),
        Publish.KeepTheSemaphore: {"publish_early": "held_at_end", "imap_lock_order": "held_at_end"},
    },
)  # fmt: skip

ORDER = Bank(
    repair="new_vma_locked_first",
    release="6.6-like-new_vma_locked_first",
    scenarios=("publish_early", "imap_lock_order"),
    right=(Order.Linux, Order.PageProtFirst, Order.SetTheNumberInside, Order.LockAgainInside, Order.FileAfterTheTree, Order.TrylockOnce),
    wrong={
        **dict.fromkeys(
            (
                Order.Unsolved, Order.FileLockForReading, Order.LockBetweenTwoHolds, Order.SemaphoreAgainInside, Order.HoldTheSemaphoreInside,
                Order.ReadLockInside, Order.FileLockAroundMmapLock,
            ),
            WRONG_ORDER,
        ),
        Order.LockTheNeighboursInside: {"imap_lock_order": "deadlock"},
        Order.LockLater: {"publish_early": "unnoticed_store"},
        Order.LockInVmaLinkFile: {"publish_early": "unnoticed_store", "imap_lock_order": "lock_order"},
        Order.UnlockBeforeTheFile: {"publish_early": "unnoticed_store"},
        Order.KeepTheFileLock: {"publish_early": "held_at_end", "imap_lock_order": "deadlock"},
    },
)  # fmt: skip

BANKS = {"publish": PUBLISH, "order": ORDER}
