"""The lock per VMA, as 6.4 shipped it (include/linux/mm.h, split from the VMA by c7f8f31c00d1).

Its write side is a state, not a lock that is held: a VMA is write-locked while its vm_lock_seq
equals its mm's mm_lock_seq. To lock one more VMA is a store; to unlock all of them at once is one
addition.
"""

from __future__ import annotations

from mmlocks.machine import Step, together
from mmlocks.mm.maple import mas_walk
from mmlocks.mm.mm_types import Mm, Vma
from mmlocks.releases import ANON_VMA_CHECKED_LOCKED, FILE_FAULTS_LOCK_VMA, FIRST_FAULT_FALLS_BACK


async def vma_start_read(vma: Vma) -> bool:
    """Try to lock a VMA for reading; False if it is, or seems to be, write-locked. Never blocks.

    Kernel:  include/linux/mm.h vma_start_read() as of 6.4 (5e31275cc997).
    Locks:   none on entry; on True, vma.vm_lock for reading.
    Races:   vma_start_write; the second comparison is the one that counts.
    Differs: memory is sequentially consistent, so the acquire that b1f02b95758d added (6.4.8) has
             nothing to order here.
    """
    mm = vma.vm_mm
    # One step for two plain reads: the check below catches a wrong True, and a wrong False only
    # costs time.
    vma_seq, mm_seq = await together(vma.vm_lock_seq, mm.mm_lock_seq)
    if vma_seq == mm_seq:
        return False
    # To take the lock commutes with all that others do before our next look, so both are one step.
    taken, vma_seq, mm_seq = await together(vma.vm_lock.try_read(), vma.vm_lock_seq, mm.mm_lock_seq)
    if not taken:
        return False
    if vma_seq == mm_seq:
        await vma.vm_lock.up_read()
        return False
    return True


async def vma_end_read(vma: Vma) -> None:
    """Unlock a VMA that vma_start_read locked (include/linux/mm.h).

    Differs: Linux needs an RCU section around this, as a writer may free the VMA once the lock is
             given up. Here that is one step, and the last one that touches the VMA.
    """
    await vma.vm_lock.up_read()


async def vma_start_write(vma: Vma) -> None:
    """Lock a VMA for writing until mmap_lock is given up or downgraded.

    Waits for the VMA's readers, and lets no new ones in.

    Kernel:  include/linux/mm.h vma_start_write() as of 6.4 (5e31275cc997).
    Locks:   mmap_lock held for writing; vma.vm_lock is held only for a moment.
    Races:   vma_start_read, until the sequence number is stored.
    Differs: 6.3 has it as well here, but in 6.3 nothing reads what it stores.
    """
    mm = vma.vm_mm
    # mmap_lock keeps both numbers as they are.
    _, vma_seq, mm_seq = await together(
        mmap_assert_write_locked(vma), vma.vm_lock_seq, mm.mm_lock_seq
    )
    if vma_seq == mm_seq:
        return
    await vma.vm_lock.down_write()
    # A reader between the two would not get the lock, and would fall back: the same as when it
    # sees the number.
    await together(vma.vm_lock_seq.set(mm_seq), vma.vm_lock.up_write())


async def vma_end_write_all(mm: Mm) -> None:
    """Unlock every write-locked VMA of the address space at once (include/linux/mm.h).

    Locks:   mmap_lock held for writing.
    """
    await mm.mm_lock_seq.add(1)


async def lock_vma_under_rcu(mm: Mm, address: int) -> Vma | None:
    """Find the VMA at `address` and lock it for reading, without mmap_lock; else None.

    None sends the fault to the slow path.

    Kernel:  mm/memory.c lock_vma_under_rcu() as of 6.4 (50ee32537206, 2ac0af1b66e3). Checks
             anon_vma under the lock since 657b5146955e (6.4.10), and lets files in since
             350f6bbca1de (6.6; see do_fault).
    Locks:   none on entry; on success the VMA for reading.
    Races:   everything that changes the tree or the VMA, so all that was found is checked again
             under the lock. Up to 6.4.9 anon_vma is not: mremap can make it None between the look
             at it and the lock.
    Differs: no VMA has userfaultfd. A detached VMA is looked up again even if it does not hold the
             address, where Linux gives up.
    """
    while True:
        # To enter the section before the first look inside it protects nothing more.
        vma: Vma | None
        _, vma = await together(mm.rcu.read_lock(), mas_walk(mm, address))
        if vma is None:
            await mm.rcu.read_unlock()
            return None
        if ANON_VMA_CHECKED_LOCKED:
            file = await vma.vm_file  # it never changes
            prepared = True  # asked below, under the lock
        else:
            file, anon_vma = await together(vma.vm_file, vma.anon_vma)
            prepared = anon_vma is not None
        if not FIRST_FAULT_FALLS_BACK:
            prepared = True
        if FILE_FAULTS_LOCK_VMA:
            refused = file is None and not prepared
        else:
            refused = file is not None or not prepared
        if refused or not await vma_start_read(vma):
            await mm.rcu.read_unlock()
            return None
        if FIRST_FAULT_FALLS_BACK:
            if ANON_VMA_CHECKED_LOCKED:
                if file is None and await vma.anon_vma is None:
                    await vma.vm_lock.up_read()
                    await mm.rcu.read_unlock()
                    return None
        if await leave_rcu_if_covered(vma, address):
            return vma
        # The RCU section lasts until the lock is given up: a detached VMA is freed when it ends.
        detached, _ = await together(vma.detached, vma.vm_lock.up_read())
        await mm.rcu.read_unlock()
        if not detached:
            return None


def mmap_assert_write_locked(vma: Vma) -> Step:
    """The step that checks that mmap_lock is held for writing (include/linux/mmap_lock.h).

    Differs: not asserted for a child that is still being built: Linux holds its mmap_lock then,
             and here fork does not take it.
    """
    return Step("mmap_assert_write_locked", (vma,))


def leave_rcu_if_covered(vma: Vma, address: int) -> Step:
    """The step that leaves the RCU section if a read-locked VMA is in the tree and holds `address`.

    Its result says whether it did. Under the VMA's read lock the answer cannot change, so the
    moment of the look does not matter. (Up to 6.4.1 a growing stack did change vm_start under that
    lock, and moved it away from every address that was inside.)
    """
    return Step("leave_rcu_if_covered", (vma, address))
