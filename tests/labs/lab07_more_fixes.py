"""More answers to lab 07: they fit the stories and nothing else, or break what nobody looked at; and right ones that were misjudged.

Each is what a learner would write, or what one would write who has looked for gaps in what is asked.
"""

from mmlocks.mm import *  # noqa: F403  the labs' first cell does the same
from mmlocks.mm.filing import folio_add_new_anon_rmap, page_try_dup_anon_rmap
from mmlocks.mm.maple import mas_walk
from mmlocks.mm.vm_flags import FAULT_FLAG_WRITE, VM_ACCESS_FLAGS, VM_GROWSDOWN, VM_READ, VM_WRITE


def names_of(kind):
    """What a learner's notebook would have in its globals: the module's names, and this answer's functions."""
    import types

    names = dict(globals())
    for name, function in vars(kind).items():
        if isinstance(function, types.FunctionType):
            names[name] = types.FunctionType(function.__code__, names, name, function.__defaults__)
    return names


class Linux:
    """fb49c455323f."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


# -- wrong: they fit these scenarios ----------------------------------------------------------------------------------


class LockOnlyTheFirstTwoVmas:
    """Not these numbers: a third VMA is not locked."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for number, mpnt in enumerate(await for_each_vma(oldmm)):
            if number < 2:
                await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class LockByName:
    """Names are not what a VMA is."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            if mpnt.name in ("heap", "buffer", "data"):
                await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class LockBelowPageSix:
    """The stories happen to have their pages there."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            if await mpnt.vm_start < 6 * PAGE_SIZE:
                await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class LockAbovePageTwo:
    """The stories happen to have their pages there."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            if await mpnt.vm_end > 3 * PAGE_SIZE:
                await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class LockUnlessItIsAStack:
    """A stack has page faults like all other memory."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            if not await mpnt.vm_flags & VM_GROWSDOWN:
                await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class LockSmallVmas:
    """No story has a VMA of three pages."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            if await mpnt.vm_end - await mpnt.vm_start <= 2 * PAGE_SIZE:
                await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class LockWhatTheLastForkLocked:
    """Every VMA of the stories was locked by the fork before."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            if await mpnt.vm_lock_seq == await oldmm.mm_lock_seq - 1:
                await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class LockIfItIsTheThirdFork:
    """The stories begin with this number."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            if await oldmm.mm_lock_seq == 3:
                await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class LockTheFirstAndTheLast:
    """No story has a VMA in the middle."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        vmas = await for_each_vma(oldmm)
        for mpnt in vmas:
            if mpnt in (vmas[0], vmas[-1]):
                await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class FlushThePagesOfTheStories:
    """Other pages keep stale translations."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        for page in (3, 4, 7, 8):
            if page in oldmm.pages:
                await flush_tlb_page(oldmm, page)
        await mmap_write_unlock(oldmm)


class CopyTwoPages:
    """The child lacks what lies behind them."""

    dup_mmap = Linux.dup_mmap

    async def copy_page_range(dst_vma, src_vma):
        if await src_vma.anon_vma is None:
            return
        first = await src_vma.vm_start // PAGE_SIZE
        for page in range(first, min(first + 2, await src_vma.vm_end // PAGE_SIZE)):
            await copy_present_pte(dst_vma, src_vma, page)


class CopyWhatCanBeWritten:
    """Pages that are shared already, or constant, are left out: a second fork, or a page of constants, shows it."""

    dup_mmap = Linux.dup_mmap

    async def copy_present_pte(dst_vma, src_vma, page):
        mm, oldmm = dst_vma.vm_mm, src_vma.vm_mm
        ptl = oldmm.page_table.ptl[page]
        await ptl.lock()
        entry = await oldmm.page_table.pte[page]
        if entry is not None and entry.write:
            await entry.frame.refcount.add(1)
            await page_try_dup_anon_rmap(entry.frame, dst_vma)
            await set_pte_at(oldmm, page, entry.wrprotected())
            await set_pte_at(mm, page, entry.wrprotected())
        await ptl.unlock()


class CopyWhatNobodyShares:
    """Pages that parent and child share already are left out of the next fork."""

    dup_mmap = Linux.dup_mmap

    async def copy_present_pte(dst_vma, src_vma, page):
        mm, oldmm = dst_vma.vm_mm, src_vma.vm_mm
        ptl = oldmm.page_table.ptl[page]
        await ptl.lock()
        entry = await oldmm.page_table.pte[page]
        if entry is not None and await entry.frame.refcount == 1:
            if entry.frame is not mm.memory.zero:
                await entry.frame.refcount.add(1)
                await page_try_dup_anon_rmap(entry.frame, dst_vma)
            await ptep_set_wrprotect(oldmm, page, entry)
            await set_pte_at(mm, page, entry.wrprotected())
        await ptl.unlock()


# -- wrong: the child is not whole, or the parent not as before -------------------------------------------------------


class ChildSharesItsParentsTree:
    """The child has no VMAs of its own: the root of its tree is its parent's."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        await mm.mm_mt.ma_root.set(await oldmm.mm_mt.ma_root)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            if await mpnt.anon_vma is None:
                continue
            for page in oldmm.page_table.pages(await mpnt.vm_start, await mpnt.vm_end):
                await oldmm.page_table.ptl[page].lock()
                entry = await oldmm.page_table.pte[page]
                if entry is not None:
                    await entry.frame.refcount.add(1)
                    await set_pte_at(oldmm, page, entry.wrprotected())
                    await set_pte_at(mm, page, entry.wrprotected())
                await oldmm.page_table.ptl[page].unlock()
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class ParentsOtherVmaRuined:
    """VMAs without pages are made inaccessible, misfiled, and detached."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
            if await mpnt.anon_vma is None:
                await mpnt.vm_flags.set(0)
                await mpnt.vm_pgoff.set(99)
                await mpnt.detached.set(True)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class ChildMayWriteItsConstants:
    """What the parent may only read, the child may write."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
            await tmp.vm_flags.set(await mpnt.vm_flags | VM_WRITE)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class ChildMayNotWrite:
    """The child gets a segmentation fault at its first store."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
            await tmp.vm_flags.set(VM_READ)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class ChildIsFiledElsewhere:
    """The index of the VMA: a later frame of it would be filed where its parent would not look."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
            if await mpnt.anon_vma is None:
                await tmp.vm_pgoff.set(0)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class ChildFilesWithItsParent:
    """The anon_vma that fork has made for the child is not used."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
            await tmp.anon_vma.set(await mpnt.anon_vma)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class ChildForgetsItsAnonVma:
    """The first fault of the child makes another one, and no page that it shares is found any more."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
            await tmp.anon_vma.set(None)
            await tmp.anon_vma_chain.set(())
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class ChildIsDetached:
    """Whoever looks the VMA up in the child believes that it is being unmapped."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
            await tmp.detached.set(True)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class ChildCountsOneVmaMore:
    """map_count is what limits a process, and what munmap goes by."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)
        await mm.map_count.add(1)


class ChildWillSeemLocked:
    """A number that the child has yet to reach."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
            await tmp.vm_lock_seq.set(await mm.mm_lock_seq + 1)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class ParentWillSeemLocked:
    """After the next write lock of mmap_lock, faults here take the slow path; and fork, which finds the VMA locked already, will not wait for those inside."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)
        for mpnt in oldmm.vmas:
            await mpnt.vm_lock_seq.set(await oldmm.mm_lock_seq + 1)


class VmaThatLeaks:
    """The first copy of each VMA is lost when the second takes its place in the tree."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            if await mpnt.anon_vma is not None:
                await vm_area_dup(mm, mpnt)
                await mm.map_count.add(-1)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class AnonVmaCountedTwice:
    """The child's anon_vma can never be freed."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
            anon_vma = await tmp.anon_vma
            if anon_vma is not None:
                await anon_vma.get()
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class CopyOfConstantsIsWritable:
    """The child gets copies of its own where nobody can store to the page, and may write to them, whatever their VMA allows."""

    dup_mmap = Linux.dup_mmap

    async def copy_present_pte(dst_vma, src_vma, page):
        mm, oldmm = dst_vma.vm_mm, src_vma.vm_mm
        ptl = oldmm.page_table.ptl[page]
        await ptl.lock()
        entry = await oldmm.page_table.pte[page]
        if entry is not None and not entry.write:
            new = await vma_alloc_folio(oldmm, page, entry.frame)
            await set_pte_at(mm, page, Pte(new, True))
        elif entry is not None:
            await entry.frame.refcount.add(1)
            await page_try_dup_anon_rmap(entry.frame, dst_vma)
            await set_pte_at(oldmm, page, entry.wrprotected())
            await set_pte_at(mm, page, entry.wrprotected())
        await ptl.unlock()


class ParentKeepsAWritableEntry:
    """The zero frame becomes writable in the parent: what it stores there, everybody reads."""

    dup_mmap = Linux.dup_mmap

    async def copy_present_pte(dst_vma, src_vma, page):
        mm, oldmm = dst_vma.vm_mm, src_vma.vm_mm
        ptl = oldmm.page_table.ptl[page]
        await ptl.lock()
        entry = await oldmm.page_table.pte[page]
        if entry is not None:
            shared = entry.wrprotected()
            if entry.frame is mm.memory.zero:
                await set_pte_at(oldmm, page, Pte(entry.frame, True))
            else:
                await entry.frame.refcount.add(1)
                await page_try_dup_anon_rmap(entry.frame, dst_vma)
                await set_pte_at(oldmm, page, shared)
            await set_pte_at(mm, page, shared)
        await ptl.unlock()


# -- wrong: what 6.4.0 did right is broken ----------------------------------------------------------------------------


class FirstTouchWithoutSecondLook:
    """Two CPUs that touch a page first lose a store."""

    dup_mmap = Linux.dup_mmap

    async def do_anonymous_page(vma, page, flags):
        mm = vma.vm_mm
        await anon_vma_prepare(vma)
        new = await vma_alloc_folio(mm, page, None)
        await mm.page_table.ptl[page].lock()
        await folio_add_new_anon_rmap(new, vma, page, await vma.vm_start)
        await set_pte_at(mm, page, Pte(new, True))
        await mm.page_table.ptl[page].unlock()


class FirstTouchLeavesItsLock:
    """Where another CPU was faster, the page-table lock stays taken."""

    dup_mmap = Linux.dup_mmap

    async def do_anonymous_page(vma, page, flags):
        mm, table = vma.vm_mm, vma.vm_mm.page_table
        await anon_vma_prepare(vma)
        new = await vma_alloc_folio(mm, page, None)
        await table.ptl[page].lock()
        if await table.pte[page] is not None:
            await folio_put(mm.memory, new)
            return
        await folio_add_new_anon_rmap(new, vma, page, await vma.vm_start)
        await set_pte_at(mm, page, Pte(new, True))
        await table.ptl[page].unlock()


class FirstTouchFilesNothing:
    """Whoever wants to unmap the frame does not find it."""

    dup_mmap = Linux.dup_mmap

    async def do_anonymous_page(vma, page, flags):
        mm, table = vma.vm_mm, vma.vm_mm.page_table
        await anon_vma_prepare(vma)
        new = await vma_alloc_folio(mm, page, None)
        await table.ptl[page].lock()
        if await table.pte[page] is not None:
            await table.ptl[page].unlock()
            await folio_put(mm.memory, new)
            return
        await set_pte_at(mm, page, Pte(new, True))
        await table.ptl[page].unlock()


class AnonVmaWithoutSecondLook:
    """Of two first faults in a VMA, the second replaces the anon_vma in which the first has filed its page."""

    dup_mmap = Linux.dup_mmap

    async def anon_vma_prepare(vma):
        if await vma.anon_vma is not None:
            return
        anon_vma = await find_mergeable_anon_vma(vma)
        lock = vma.vm_mm.page_table_lock
        await lock.lock()
        anon_vma = anon_vma or await anon_vma_alloc(vma)
        await anon_vma.get()
        await vma.anon_vma_chain.set((anon_vma,))
        await vma.anon_vma.set(anon_vma)
        await lock.unlock()


class LookUpWithoutItsChecks:
    """A VMA is believed to be what it was before it was locked: it may have left the tree since."""

    dup_mmap = Linux.dup_mmap

    async def lock_vma_under_rcu(mm, address):
        await mm.rcu.read_lock()
        vma = await mas_walk(mm, address)
        if (
            vma is None
            or await vma.vm_file is not None
            or await vma.anon_vma is None
            or not await vma_start_read(vma)
        ):
            await mm.rcu.read_unlock()
            return None
        await mm.rcu.read_unlock()
        return vma


class FaultAsksForRightsOnlyAtFirst:
    """Where a page is there already, a program may store to memory that it may only read."""

    dup_mmap = Linux.dup_mmap

    async def handle_mm_fault(vma, address, flags):
        page = address // PAGE_SIZE
        entry, file = await vma.vm_mm.page_table.pte[page], await vma.vm_file
        if entry is None:
            if not await vma.vm_flags & (VM_WRITE if flags & FAULT_FLAG_WRITE else VM_ACCESS_FLAGS):
                return False
            if file is not None:
                return await do_fault(vma, file, page, flags)
            await do_anonymous_page(vma, page, flags)
        elif flags & FAULT_FLAG_WRITE and not entry.write:
            await do_wp_page(vma, page, entry)
        return True


class ProtectsNothing:
    """mprotect that promises and does nothing."""

    dup_mmap = Linux.dup_mmap

    async def mprotect(mm, start, length, prot):
        return 0


class ForgetsNothing:
    """madvise(MADV_DONTNEED) that leaves the pages where they are."""

    dup_mmap = Linux.dup_mmap

    async def madvise(mm, start, length, advice):
        return 0


class AllocatesUnderASpinlock:
    """Where memory is short, whoever allocates may have to sleep."""

    dup_mmap = Linux.dup_mmap

    async def do_anonymous_page(vma, page, flags):
        mm, table = vma.vm_mm, vma.vm_mm.page_table
        await anon_vma_prepare(vma)
        await table.ptl[page].lock()
        if await table.pte[page] is None:
            new = await vma_alloc_folio(mm, page, None)
            await folio_add_new_anon_rmap(new, vma, page, await vma.vm_start)
            await set_pte_at(mm, page, Pte(new, True))
        await table.ptl[page].unlock()


# -- right, and costly ------------------------------------------------------------------------------------------------


class LocksAllFirstAndCopiesLate:
    """Every fault waits for the whole of fork. The child's entries are written after mmap_write_unlock, where the others can run again."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        vmas = await for_each_vma(oldmm)
        for mpnt in vmas:
            await vma_start_write(mpnt)
        late = []
        for mpnt in vmas:
            await vm_area_dup(mm, mpnt)
            if await mpnt.anon_vma is None:
                continue
            for page in oldmm.page_table.pages(await mpnt.vm_start, await mpnt.vm_end):
                await oldmm.page_table.ptl[page].lock()
                entry = await oldmm.page_table.pte[page]
                if entry is not None:
                    await entry.frame.refcount.add(1)
                    await set_pte_at(oldmm, page, entry.wrprotected())
                    late.append((page, entry.wrprotected()))
                await oldmm.page_table.ptl[page].unlock()
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)
        for page, entry in late:
            await set_pte_at(mm, page, entry)


class LocksAllFromTheLastToTheFirst:
    """2b4f3b4987b5 the other way round."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        vmas = tuple(reversed(await for_each_vma(oldmm)))
        for mpnt in vmas:
            await vma_start_write(mpnt)
        for mpnt in vmas:
            await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class CopiesAtOnce:
    """The child gets copies of its own, made when no store can come in between any more; the parent's entries are left read-only."""

    async def copy_page_range(dst_vma, src_vma):
        _mm, oldmm = dst_vma.vm_mm, src_vma.vm_mm
        if await src_vma.anon_vma is None:
            return
        pages = oldmm.page_table.pages(await src_vma.vm_start, await src_vma.vm_end)
        for page in pages:
            await oldmm.page_table.ptl[page].lock()
            entry = await oldmm.page_table.pte[page]
            if entry is not None:
                await ptep_set_wrprotect(oldmm, page, entry)
            await oldmm.page_table.ptl[page].unlock()

    async def flush_and_copy(mm, oldmm):
        await flush_tlb_mm(oldmm)
        for mpnt in await for_each_vma(oldmm):
            if await mpnt.anon_vma is None:
                continue
            for page in oldmm.page_table.pages(await mpnt.vm_start, await mpnt.vm_end):
                entry = await oldmm.page_table.pte[page]
                if entry is not None:
                    new = await vma_alloc_folio(oldmm, page, entry.frame)
                    await set_pte_at(mm, page, Pte(new, False))

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_and_copy(mm, oldmm)
        await mmap_write_unlock(oldmm)


# -- wrong: right but for the snapshot --------------------------------------------------------------------------------


class CopiesAtOnceWhileTheParentStores:
    """The child gets copies at once, and the parent's entries stay writable: stores go on between the copy of one page and of the next."""

    dup_mmap = Linux.dup_mmap

    async def copy_present_pte(dst_vma, src_vma, page):
        mm, oldmm = dst_vma.vm_mm, src_vma.vm_mm
        ptl = oldmm.page_table.ptl[page]
        await ptl.lock()
        entry = await oldmm.page_table.pte[page]
        if entry is not None:
            new = await vma_alloc_folio(oldmm, page, entry.frame)
            await set_pte_at(mm, page, Pte(new, False))
        await ptl.unlock()


# -- right, and as cheap as Linux -------------------------------------------------------------------------------------


class FromTheLastToTheFirst:
    """The VMAs in the other order."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in reversed(await for_each_vma(oldmm)):
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class DuplicatesAllVmasFirst:
    """One walk for the VMAs, one for their pages."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        pairs = []
        for mpnt in await for_each_vma(oldmm):
            pairs.append((await vm_area_dup(mm, mpnt), mpnt))  # noqa: PERF401
        for tmp, mpnt in pairs:
            await vma_start_write(mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class LocksTheChildAsWell:
    """Not needed, as nobody knows the child. Linux holds its mmap_lock."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await vma_start_write(tmp)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class TakesTheChildsMmapLock:
    """As Linux does, which the model leaves out."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        await mmap_write_lock(mm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)
        await mmap_write_unlock(mm)


class LocksWhatCanBeWritten:
    """Where nothing can be stored, a fault in between changes nothing."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            if await mpnt.vm_flags & VM_WRITE:
                await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class WritesTheChildsEntriesLast:
    """The child's page table is filled after the walk, still under all locks."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        late = []
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            if await mpnt.anon_vma is None:
                continue
            for page in oldmm.page_table.pages(await mpnt.vm_start, await mpnt.vm_end):
                await oldmm.page_table.ptl[page].lock()
                entry = await oldmm.page_table.pte[page]
                if entry is not None:
                    if entry.frame is not mm.memory.zero:
                        await entry.frame.refcount.add(1)
                        await page_try_dup_anon_rmap(entry.frame, tmp)
                    await ptep_set_wrprotect(oldmm, page, entry)
                    late.append((page, entry.wrprotected()))
                await oldmm.page_table.ptl[page].unlock()
        for page, entry in late:
            await set_pte_at(mm, page, entry)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class ReadsUntilItUnlocks:
    """Once the TLBs are flushed, reading is enough for the rest, of which there is none."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_downgrade(oldmm)
        await mmap_read_unlock(oldmm)


class BacksOffAtMostTwice:
    """Tries to lock; gives mmap_lock up twice where readers are in the way, then waits for them."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            for _tries in range(2):
                if await mpnt.vm_lock.try_write():
                    await mpnt.vm_lock.up_write()
                    break
                if await mm.map_count == 0:
                    await mmap_write_unlock(oldmm)
                    await mmap_write_lock(oldmm)
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class LoadsWithoutTheZeroFrame:
    """The first load of a page gives it a frame of its own, as the first store does."""

    dup_mmap = Linux.dup_mmap

    async def do_anonymous_page(vma, page, flags):
        mm, table = vma.vm_mm, vma.vm_mm.page_table
        await anon_vma_prepare(vma)
        new = await vma_alloc_folio(mm, page, None)
        await table.ptl[page].lock()
        if await table.pte[page] is not None:
            await table.ptl[page].unlock()
            await folio_put(mm.memory, new)
            return
        await folio_add_new_anon_rmap(new, vma, page, await vma.vm_start)
        await set_pte_at(mm, page, Pte(new, bool(await vma.vm_flags & VM_WRITE)))
        await table.ptl[page].unlock()


# -- right, and not to be proved: a counter would have to count for ever ----------------------------------------------


class TriesUntilItGetsThem:
    """Try to lock each VMA; if its readers are there, give mmap_lock up and begin again, as nothing was copied yet."""

    async def dup_mmap(mm, oldmm):
        while True:
            await mmap_write_lock(oldmm)
            vmas = await for_each_vma(oldmm)
            for mpnt in vmas:
                if not await mpnt.vm_lock.try_write():
                    break
                await mpnt.vm_lock_seq.set(await oldmm.mm_lock_seq)
                await mpnt.vm_lock.up_write()
            else:
                break
            await mmap_write_unlock(oldmm)
        for mpnt in vmas:
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)
