"""Speculative faults done otherwise: wrong ones by their mistake, and right ones that differ from what was proposed.

Each class holds the functions that it replaces. `KILLED` and `RIGHT` in test_speculative.py say what becomes of each.
"""

from mmlocks.mm import (
    FAULT_FLAG_WRITE,
    Pte,
    copy_page_range,
    flush_tlb_mm,
    flush_tlb_page,
    folio_put,
    for_each_vma,
    mmap_read_unlock,
    mmap_write_downgrade,
    mmap_write_lock,
    page_of,
    set_pte_at,
    vm_area_dup,
    vma_alloc_folio,
    vma_end_write_all,
)
from mmlocks.mm.maple import mas_walk
from mmlocks.mm.speculative import (
    Pvma,
    add_new_anon_rmap,
    copy_vma_under_rcu,
    mmap_seq_read_check,
    pte_map_lock,
    speculative_anonymous_page,
    speculative_wp_page,
)
from mmlocks.mm.vm_flags import VM_ACCESS_FLAGS, VM_GROWSDOWN, VM_WRITE


async def from_the_copy_on(mm, vma, address, flags, seq):
    """The second half of do_speculative_fault."""
    if vma.file is not None or not vma.flags & (
        VM_WRITE if flags & FAULT_FLAG_WRITE else VM_ACCESS_FLAGS
    ):
        return False
    return await from_the_entry_on(mm, vma, address, flags, seq)


async def from_the_entry_on(mm, vma, address, flags, seq):
    page = page_of(address)
    entry = await mm.page_table.pte[page]
    if entry is None:
        return await speculative_anonymous_page(mm, vma, page, flags, seq)
    if flags & FAULT_FLAG_WRITE and not entry.write:
        return await speculative_wp_page(mm, vma, page, entry, seq)
    return True


async def give_back(mm, page, new, *others):
    await mm.page_table.ptl[page].unlock()
    for frame in (new, *others):
        await folio_put(mm.memory, frame)


# -- right, and different ---------------------------------------------------------------------------------------------


class WaitForTheLockAndThenCheck:
    """Linux must not wait there, as interrupts are off. Nobody is interrupted here."""

    async def pte_map_lock(mm, page, seq):
        await mm.page_table.ptl[page].lock()
        if await mmap_seq_read_check(mm, seq):
            return True
        await mm.page_table.ptl[page].unlock()
        return False


class NoLookBeforeTheLock:
    """The first of pte_map_lock's two looks only saves work."""

    async def pte_map_lock(mm, page, seq):
        if not await mm.page_table.ptl[page].try_lock():
            return False
        if await mmap_seq_read_check(mm, seq):
            return True
        await mm.page_table.ptl[page].unlock()
        return False


class NoLookAfterTheCopy:
    """So does the look after the copy: what the copy says is not acted upon before the look under the lock.

    (The model's, and only because each field is whole. Linux follows pointers in the copy.)
    """

    async def do_speculative_fault(mm, address, flags):
        seq = await mm.mm_seq
        if seq % 2 == 1:
            return False
        vma = await copy_vma_under_rcu(mm, address)
        return vma is not None and await from_the_copy_on(mm, vma, address, flags, seq)


class LookMoreOften:
    async def do_speculative_fault(mm, address, flags):
        seq = await mm.mm_seq
        if seq % 2 == 1 or not await mmap_seq_read_check(mm, seq):
            return False
        vma = await copy_vma_under_rcu(mm, address)
        if (
            vma is None
            or not await mmap_seq_read_check(mm, seq)
            or not await mmap_seq_read_check(mm, seq)
        ):
            return False
        return await from_the_copy_on(mm, vma, address, flags, seq)


class WaitForAnEvenCount:
    """Nothing is held while it waits, so nobody waits for it."""

    async def do_speculative_fault(mm, address, flags):
        seq = await mm.mm_seq
        while seq % 2 == 1:
            seq = await mm.mm_seq.wait_until_not(seq)
        vma = await copy_vma_under_rcu(mm, address)
        if vma is None or not await mmap_seq_read_check(mm, seq):
            return False
        return await from_the_copy_on(mm, vma, address, flags, seq)


class OnlyAbsentPages:
    """Copies of pages are left to the slow path."""

    async def speculative_wp_page(mm, vma, page, entry, seq):
        return False


class NotOnStacks:
    """Also where a stack grows under mmap_lock held for reading."""

    async def do_speculative_fault(mm, address, flags):
        seq = await mm.mm_seq
        if seq % 2 == 1:
            return False
        vma = await copy_vma_under_rcu(mm, address)
        if vma is None or vma.flags & VM_GROWSDOWN or not await mmap_seq_read_check(mm, seq):
            return False
        return await from_the_copy_on(mm, vma, address, flags, seq)


# -- wrong ------------------------------------------------------------------------------------------------------------


class NeverLookAgain:
    async def mmap_seq_read_check(mm, seq):
        return True


class LookOnlyBeforeTheLock:
    async def pte_map_lock(mm, page, seq):
        return await mmap_seq_read_check(mm, seq) and await mm.page_table.ptl[page].try_lock()


class LookOnlyAfterTheCopy:
    """The entry is compared, and the count is not."""

    async def pte_map_lock(mm, page, seq):
        return await mm.page_table.ptl[page].try_lock()


class WaitForTheLockAfterTheLook:
    async def pte_map_lock(mm, page, seq):
        if not await mmap_seq_read_check(mm, seq):
            return False
        await mm.page_table.ptl[page].lock()
        return True


class TrustAnOddCount:
    async def do_speculative_fault(mm, address, flags):
        seq = await mm.mm_seq
        vma = await copy_vma_under_rcu(mm, address)
        if vma is None or not await mmap_seq_read_check(mm, seq):
            return False
        return await from_the_copy_on(mm, vma, address, flags, seq)


class ReadTheCountAfterTheCopy:
    async def do_speculative_fault(mm, address, flags):
        vma = await copy_vma_under_rcu(mm, address)
        seq = await mm.mm_seq
        if vma is None or seq % 2 == 1:
            return False
        return await from_the_copy_on(mm, vma, address, flags, seq)


class CountWhenTheWriterIsDone:
    """A version number, as it were: whoever looks while the writer is at work finds nothing changed."""

    async def mmap_write_lock(mm):
        await mm.mmap_lock.down_write()

    async def mmap_write_unlock(mm):
        await vma_end_write_all(mm)
        await mm.mm_seq.add(2)
        await mm.mmap_lock.up_write()

    async def mmap_write_downgrade(mm):
        await vma_end_write_all(mm)
        await mm.mm_seq.add(2)
        await mm.mmap_lock.downgrade()


class ForkGivesUpTheLockBeforeItFlushes:
    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await mmap_write_downgrade(oldmm)
        await flush_tlb_mm(oldmm)
        await mmap_read_unlock(oldmm)


class LeaveRcuBeforeTheCopy:
    async def copy_vma_under_rcu(mm, address):
        await mm.rcu.read_lock()
        vma = await mas_walk(mm, address)
        await mm.rcu.read_unlock()
        if vma is None:
            return None
        start, flags, pgoff = await vma.vm_start, await vma.vm_flags, await vma.vm_pgoff
        file, anon_vma, chain = await vma.vm_file, await vma.anon_vma, await vma.anon_vma_chain
        return Pvma(vma, start, pgoff, flags, file, anon_vma, chain)


class UseTheVmaAndNoCopy:
    """What the VMA says is asked for when it is needed, long after the RCU section."""

    async def do_speculative_fault(mm, address, flags):
        seq = await mm.mm_seq
        if seq % 2 == 1:
            return False
        vma = await copy_vma_under_rcu(mm, address)
        if vma is None or not await mmap_seq_read_check(mm, seq):
            return False
        vma = vma._replace(flags=await vma.vma.vm_flags)
        return await from_the_copy_on(mm, vma, address, flags, seq)


class ForgetTheAccessRights:
    async def do_speculative_fault(mm, address, flags):
        seq = await mm.mm_seq
        if seq % 2 == 1:
            return False
        vma = await copy_vma_under_rcu(mm, address)
        if vma is None or not await mmap_seq_read_check(mm, seq):
            return False
        return await from_the_entry_on(mm, vma, address, flags, seq)


class ForgetToCompareTheEntry:
    """The address space has not changed; but another fault was here, and neither takes mmap_lock for writing."""

    async def speculative_anonymous_page(mm, vma, page, flags, seq):
        writes, new = bool(flags & FAULT_FLAG_WRITE), mm.memory.zero
        if writes:
            if vma.anon_vma is None:
                return False
            new = await vma_alloc_folio(mm, page, None)
        if not await pte_map_lock(mm, page, seq):
            await folio_put(mm.memory, new)
            return False
        if writes:
            await add_new_anon_rmap(new, vma, page)
        await set_pte_at(mm, page, Pte(new, writes))
        await mm.page_table.ptl[page].unlock()
        return True


async def copied(mm, vma, page, entry, seq, compare=True, flush=True):
    """A copy of speculative_wp_page without the reuse of a frame that nobody shares."""
    table, old = mm.page_table, entry.frame
    if vma.anon_vma is None:
        return False
    if old is not mm.memory.zero:
        if not await pte_map_lock(mm, page, seq):
            return False
        if await table.pte[page] != entry:
            await table.ptl[page].unlock()
            return True
        await old.refcount.add(1)
        await table.ptl[page].unlock()
    new = await vma_alloc_folio(mm, page, None if old is mm.memory.zero else old)
    if not await pte_map_lock(mm, page, seq):
        await folio_put(mm.memory, new)
        await folio_put(mm.memory, old)
        return False
    if compare and await table.pte[page] != entry:
        await give_back(mm, page, new, old)
        return True
    await set_pte_at(mm, page, None)
    if flush:
        await flush_tlb_page(mm, page)
    await add_new_anon_rmap(new, vma, page)
    await set_pte_at(mm, page, Pte(new, True))
    await folio_put(mm.memory, old)
    await table.ptl[page].unlock()
    await folio_put(mm.memory, old)
    return True


class CopyAlways:
    """Right, if wasteful: a frame that nobody shares is copied, too. It shows that `copied` alone is no mistake."""

    async def speculative_wp_page(mm, vma, page, entry, seq):
        return await copied(mm, vma, page, entry, seq)


class ForgetToCompareTheEntryAfterACopy:
    async def speculative_wp_page(mm, vma, page, entry, seq):
        return await copied(mm, vma, page, entry, seq, compare=False)


class ForgetTheFlush:
    async def speculative_wp_page(mm, vma, page, entry, seq):
        return await copied(mm, vma, page, entry, seq, flush=False)


class ForgetTheUnlock:
    async def pte_map_lock(mm, page, seq):
        return await mm.page_table.ptl[page].try_lock() and await mmap_seq_read_check(mm, seq)


class ForgetTheFrame:
    """What was allocated for a fault that is abandoned."""

    async def speculative_anonymous_page(mm, vma, page, flags, seq):
        writes, table, new = bool(flags & FAULT_FLAG_WRITE), mm.page_table, mm.memory.zero
        if writes:
            if vma.anon_vma is None:
                return False
            new = await vma_alloc_folio(mm, page, None)
        if not await pte_map_lock(mm, page, seq):
            return False
        if await table.pte[page] is not None:
            await give_back(mm, page, new)
            return True
        if writes:
            await add_new_anon_rmap(new, vma, page)
        await set_pte_at(mm, page, Pte(new, writes))
        await table.ptl[page].unlock()
        return True


class FileWithoutAnAnonVma:
    """The first store to an area needs mmap_lock, for the area's anon_vma."""

    async def speculative_anonymous_page(mm, vma, page, flags, seq):
        writes, table = bool(flags & FAULT_FLAG_WRITE), mm.page_table
        new = await vma_alloc_folio(mm, page, None) if writes else mm.memory.zero
        if not await pte_map_lock(mm, page, seq):
            await folio_put(mm.memory, new)
            return False
        if await table.pte[page] is not None:
            await give_back(mm, page, new)
            return True
        if writes:
            await add_new_anon_rmap(new, vma, page)
        await set_pte_at(mm, page, Pte(new, writes))
        await table.ptl[page].unlock()
        return True
