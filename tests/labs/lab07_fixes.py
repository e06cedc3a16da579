"""Answers to lab 07: wrong ones by their mistake, costly ones, and right ones that differ from Linux's.

Each is what a learner would write. `EXPECTED` in test_lab07.py says what becomes of each.
"""

from mmlocks.machine import together
from mmlocks.mm import *  # noqa: F403  the labs' first cell does the same


def fix(function):
    """One answer: the function itself, under the name of the kernel function that it replaces."""
    return {function.__name__: function}


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


# -- right, and different ---------------------------------------------------------------------------------------------


class LockAfterDuplicatingTheVma:
    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            tmp = await vm_area_dup(mm, mpnt)
            await vma_start_write(mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class HoldEveryRwsem:
    """The VMA's semaphore itself, held until the flush: no sequence numbers."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        held = []
        for mpnt in await for_each_vma(oldmm):
            await mpnt.vm_lock.down_write()
            held.append(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        for mpnt in held:
            await mpnt.vm_lock.up_write()
        await mmap_write_unlock(oldmm)


class LockInCopyPageRange:
    async def copy_page_range(dst_vma, src_vma):
        await vma_start_write(src_vma)
        anon_vma, start, end = await together(src_vma.anon_vma, src_vma.vm_start, src_vma.vm_end)
        if anon_vma is None:
            return
        for page in range(page_of(start), page_of(end)):
            await copy_present_pte(dst_vma, src_vma, page)


class LockOnlyWhatIsCopied:
    """VMAs without an anon_vma are left alone."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            if await mpnt.anon_vma is not None:
                await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class SpinForTheRwsem:
    """vma_start_write written out, trying instead of sleeping."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            while not await mpnt.vm_lock.try_write():
                pass
            await mpnt.vm_lock_seq.set(await oldmm.mm_lock_seq)
            await mpnt.vm_lock.up_write()
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class HelperFunction:
    """The work moved to a function of the learner's own."""

    async def share(mm, mpnt):
        await vma_start_write(mpnt)
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await share(mm, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


# -- right, and costly ------------------------------------------------------------------------------------------------


class LockAllFirst:
    """2b4f3b4987b5, the variant that Linus did not take."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
        for mpnt in await for_each_vma(oldmm):
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class MmapLockOnEveryFault:
    """Per-VMA locks switched off."""

    async def lock_vma_under_rcu(mm, address):
        return None


class FlushAfterEveryVma:
    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
            await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


# -- wrong ------------------------------------------------------------------------------------------------------------


class Unsolved:
    """6.4.0."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class LockAfterCopy:
    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
            await vma_start_write(mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class LockOnlyTheChild:
    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            tmp = await vm_area_dup(mm, mpnt)
            await vma_start_write(tmp)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class UnlockBeforeFlush:
    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await mmap_write_unlock(oldmm)
        await flush_tlb_mm(oldmm)


class SetTheSequenceWithoutWaiting:
    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await mpnt.vm_lock_seq.set(await oldmm.mm_lock_seq)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class WaitWithoutSettingTheSequence:
    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await mpnt.vm_lock.down_write()
            await mpnt.vm_lock.up_write()
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class SkipTheFirstVma:
    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for number, mpnt in enumerate(await for_each_vma(oldmm)):
            if number > 0:
                await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class LockOnlyTheFirstVma:
    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for number, mpnt in enumerate(await for_each_vma(oldmm)):
            if number == 0:
                await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class UnlockEachVmaAfterCopy:
    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
            await mpnt.vm_lock_seq.set(-1)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class DowngradeBeforeFlush:
    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await mmap_write_downgrade(oldmm)
        await flush_tlb_mm(oldmm)
        await mmap_read_unlock(oldmm)


class DropMmapLockBetweenVmas:
    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
            await mmap_write_unlock(oldmm)
            await mmap_write_lock(oldmm)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class FlushBeforeInsteadOfAfter:
    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        await flush_tlb_mm(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await mmap_write_unlock(oldmm)


class ForkUnderTheReadLock:
    async def dup_mmap(mm, oldmm):
        await mmap_read_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_read_unlock(oldmm)


class ForgetToUnlock:
    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)


class ForgetToWriteProtect:
    async def copy_present_pte(dst_vma, src_vma, page):
        mm, oldmm = dst_vma.vm_mm, src_vma.vm_mm
        ptl = oldmm.page_table.ptl[page]
        _, entry = await together(ptl.lock(), oldmm.page_table.pte[page])
        if entry is not None:
            await entry.frame.refcount.add(1)
            await set_pte_at(mm, page, entry.wrprotected())
        await ptl.unlock()


class ForgetTheReference:
    async def copy_present_pte(dst_vma, src_vma, page):
        mm, oldmm = dst_vma.vm_mm, src_vma.vm_mm
        ptl = oldmm.page_table.ptl[page]
        _, entry = await together(ptl.lock(), oldmm.page_table.pte[page])
        if entry is not None:
            await ptep_set_wrprotect(oldmm, page, entry)
            await set_pte_at(mm, page, entry.wrprotected())
        await ptl.unlock()


class ForgetTheAwait:
    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class AskForMmapLockInTheFault:
    """The fast path looks whether somebody holds mmap_lock for writing, and fork does not wait for those already inside."""

    async def vma_start_read(vma):
        mm = vma.vm_mm
        if await mm.mmap_lock.writer != 0:
            return False
        return await vma.vm_lock.try_read()


class SkipTheSecondLook:
    """Linux's fork, and a vma_start_read that believes the sequence number that it saw before it took the lock."""

    dup_mmap = Linux.dup_mmap

    async def vma_start_read(vma):
        vma_seq, mm_seq = await together(vma.vm_lock_seq, vma.vm_mm.mm_lock_seq)
        if vma_seq == mm_seq:
            return False
        return await vma.vm_lock.try_read()


class LockOnlyWhatWasNeverLocked:
    """Right for the first fork of a process's life."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            if await mpnt.vm_lock_seq == -1:
                await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


class LeaveTheVmasLocked:
    """Linux's fork, and an unlock that forgets to count: every later fault is slow."""

    dup_mmap = Linux.dup_mmap

    async def mmap_write_unlock(mm):
        await mm.mmap_lock.up_write()


class UnlockAndFlushInOneStep:
    """The wrong order, declared to be one step. In an answer, `together` is taken one part at a time."""

    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            tmp = await vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)
        await together(oldmm.mm_lock_seq.add(1), oldmm.mmap_lock.up_write(), flush_tlb_mm(oldmm))


class CopyNothing:
    async def dup_mmap(mm, oldmm):
        await mmap_write_lock(oldmm)
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            await vm_area_dup(mm, mpnt)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)


# -- flushing only: the lost store is cured, the torn snapshot is not --------------------------------------------------


class FlushBeforeTheCopy:
    """As the userfaultfd fix of 2021: the fault flushes before it copies."""

    async def wp_page_copy(vma, page, entry):
        mm, table, old = vma.vm_mm, vma.vm_mm.page_table, entry.frame
        await flush_tlb_page(mm, page)
        new = await vma_alloc_folio(mm, page, old)
        _, now = await together(table.ptl[page].lock(), table.pte[page])
        if now != entry:
            await table.ptl[page].unlock()
            await folio_put(mm.memory, new)
            await folio_put(mm.memory, old)
            return
        await set_pte_at(mm, page, None)
        await flush_tlb_page(mm, page)
        await set_pte_at(mm, page, Pte(new, True))
        await folio_put(mm.memory, old)
        await table.ptl[page].unlock()
        await folio_put(mm.memory, old)


class FlushAtWriteProtect:
    """fork flushes each page under its page-table lock, before anybody can fault on it."""

    async def copy_present_pte(dst_vma, src_vma, page):
        mm, oldmm = dst_vma.vm_mm, src_vma.vm_mm
        ptl = oldmm.page_table.ptl[page]
        _, entry = await together(ptl.lock(), oldmm.page_table.pte[page])
        if entry is not None:
            await entry.frame.refcount.add(1)
            await ptep_set_wrprotect(oldmm, page, entry)
            await flush_tlb_page(oldmm, page)
            await set_pte_at(mm, page, entry.wrprotected())
        await ptl.unlock()


def answer_of(kind):
    """What a learner's notebook would have in its globals: the module's names, and this answer's functions."""
    import types

    names = dict(globals())
    for name, function in vars(kind).items():
        if isinstance(function, types.FunctionType):
            names[name] = types.FunctionType(function.__code__, names, name, function.__defaults__)
    return names
