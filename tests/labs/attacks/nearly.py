"""Kind C: nearly right. A lock too late, an unlock too early, a look that is missing."""

from __future__ import annotations

from tests.labs.attacks import Attack, answer, fork


def wrong(name: str, why: str, where: str, rejected: str, **parts: str) -> Attack:
    return Attack(name, why, fork(**parts), where, rejected)


FAULT = "from mmlocks.mm.filing import folio_add_new_anon_rmap\nfrom mmlocks.mm.frames import vma_alloc_folio, folio_put"

ATTACKS = (
    wrong("lock_after_the_first_page", "the VMA is locked when its first page has been copied", "fork_lost_store", "lost_store", lock="",
          copy="""
              if await mpnt.anon_vma is not None:
                  for page in oldmm.page_table.pages(await mpnt.vm_start, await mpnt.vm_end):
                      await copy_present_pte(tmp, mpnt, page)
                      await vma_start_write(mpnt)
              """),
    wrong("lock_of_the_vma_before", "each VMA is locked one turn too late", "fork_lost_store", "lost_store", before="last = None",
          lock="if last is not None:\n    await vma_start_write(last)\nlast = mpnt"),
    wrong("unlock_before_the_flush", "the VMAs are unlocked, then the TLBs are flushed", "fork_lost_store", "lost_store",
          flush="await vma_end_write_all(oldmm)\nawait flush_tlb_mm(oldmm)", unlock="await oldmm.mmap_lock.up_write()"),
    wrong("unlock_of_the_last_vma_early", "the last VMA's number is taken back before the flush", "fork_lost_store", "lost_store",
          flush="await mpnt.vm_lock_seq.set(0)\nawait flush_tlb_mm(oldmm)"),
    wrong("downgrade_then_flush", "downgrading unlocks the VMAs", "fork_lost_store", "lost_store",
          flush="await mmap_write_downgrade(oldmm)\nawait flush_tlb_mm(oldmm)", unlock="await mmap_read_unlock(oldmm)"),
    wrong("downgrade_before_the_last_vma", "downgrades when all but the last VMA are copied", "fork_lost_store", "lost_store", lock="", dup="", copy="", after="pass", flush="""
        vmas = await for_each_vma(oldmm)
        for mpnt in vmas[:-1]:
            await vma_start_write(mpnt)
            await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
        await vma_start_write(vmas[-1])
        tmp = await vm_area_dup(mm, vmas[-1])
        await mmap_write_downgrade(oldmm)
        await copy_page_range(tmp, vmas[-1])
        await flush_tlb_mm(oldmm)
        """, unlock="await mmap_read_unlock(oldmm)"),
    wrong("flush_before_the_last_vma", "flushes before the last VMA is copied", "fork_lost_store", "stale_translation", lock="await vma_start_write(mpnt)\nawait flush_tlb_mm(oldmm)", flush=""),
    wrong("flush_outside", "flushes when all locks are free", "fork_lost_store", "lost_store", flush="", last="await flush_tlb_mm(oldmm)"),
    wrong("flush_of_what_was_shared", "flushes the pages that nobody else maps", "fork_lost_store", "stale_translation", flush="""
        for page in oldmm.pages:
            entry = await oldmm.page_table.pte[page]
            if entry is not None and entry.write:
                await flush_tlb_page(oldmm, page)
        """),
    wrong("flush_unless_there_was_a_fault", "no flush where another CPU has had a fault", "fork_lost_store", "lost_store",
          flush="if not await oldmm.rcu.sections[-1]:\n    await flush_tlb_mm(oldmm)"),
    wrong("gives_mmap_lock_up_in_between", "mmap_lock is given up before the last VMA", "fork_lost_store", "lost_store", after="await mmap_write_unlock(oldmm)\nawait mmap_write_lock(oldmm)"),
    wrong("locks_for_reading", "takes the VMA's lock as a fault does", "fork_lost_store", "lost_store",
          lock="await vma_start_read(mpnt)", after="await vma_end_read(mpnt)"),
    wrong("holds_the_rwsem_until_it_is_copied", "holds each VMA's semaphore while that VMA is copied", "fork_lost_store", "lost_store",
          lock="await mpnt.vm_lock.down_write()", after="await mpnt.vm_lock.up_write()"),
    wrong("holds_the_rwsem_until_the_flush_but_one", "gives up the first VMA's semaphore early", "fork_elsewhere", "snapshot", before="held = []",
          lock="await mpnt.vm_lock.down_write()\nheld.append(mpnt)", after="if len(held) > 1:\n    await held.pop(0).vm_lock.up_write()",
          flush="await flush_tlb_mm(oldmm)\nfor each in held:\n    await each.vm_lock.up_write()"),
    wrong("tries_once", "does not wait where readers are in the way", "fork_torn_snapshot", "snapshot",
          lock="if await mpnt.vm_lock.try_write():\n    await mpnt.vm_lock_seq.set(await oldmm.mm_lock_seq)\n    await mpnt.vm_lock.up_write()"),
    wrong("tries_five_times", "gives up waiting after five tries", "fork_torn_snapshot", "snapshot", lock="""
        for _ in range(5):
            if await mpnt.vm_lock.try_write():
                await mpnt.vm_lock_seq.set(await oldmm.mm_lock_seq)
                await mpnt.vm_lock.up_write()
                break
        """),
    wrong("sequence_of_before", "stores the number of the last write lock", "fork_lost_store", "lost_store",
          lock="await mpnt.vm_lock.down_write()\nawait mpnt.vm_lock_seq.set(await oldmm.mm_lock_seq - 1)\nawait mpnt.vm_lock.up_write()"),
    wrong("sequence_of_the_next", "stores the number of the next write lock", "fork_lost_store", "held_at_end",
          lock="await mpnt.vm_lock.down_write()\nawait mpnt.vm_lock_seq.set(await oldmm.mm_lock_seq + 1)\nawait mpnt.vm_lock.up_write()"),
    wrong("sequence_before_the_lock_is_free", "the number is stored and no reader is waited for; the semaphore is kept", "fork_lost_store", "held_at_end",
          lock="await mpnt.vm_lock_seq.set(await oldmm.mm_lock_seq)\nawait mpnt.vm_lock.try_read()"),
    wrong("asks_whether_it_is_locked_already", "believes a number that is not its own", "fork_lost_store", "lost_store",
          lock="if await mpnt.vm_lock_seq > await oldmm.mm_lock_seq:\n    await vma_start_write(mpnt)"),
    wrong("locks_what_has_pages", "a VMA whose first page is not there is not locked", "fork_torn_snapshot", "snapshot", lock="""
        first = oldmm.page_table.pages(await mpnt.vm_start, await mpnt.vm_end)
        if first and await oldmm.page_table.pte[first[0]] is not None:
            await vma_start_write(mpnt)
        """),
    wrong("locks_what_nobody_holds", "does not wait for a VMA whose readers are there", "fork_torn_snapshot", "snapshot", lock="""
        busy = False
        for reader in mpnt.vm_lock.readers:
            busy = busy or bool(await reader)
        if not busy:
            await vma_start_write(mpnt)
        """),
    wrong("locks_once_a_fault_is_seen", "locks a VMA when a fault has been there", "fork_lost_store", "lost_store",
          lock="if await oldmm.rcu.sections[-1]:\n    await vma_start_write(mpnt)"),
    wrong("counts_down", "takes mm_lock_seq back when it is done, so that the next write lock has the same number", "fork_lost_store", "held_at_end",
          last="await mmap_write_lock(oldmm)\nawait oldmm.mm_lock_seq.add(-1)\nawait oldmm.mmap_lock.up_write()"),
    wrong("unlocks_mmap_lock_alone", "mmap_lock is free, and the VMAs stay locked", "fork_lost_store", "held_at_end", unlock="await oldmm.mmap_lock.up_write()"),
    wrong("keeps_a_page_table_lock", "a page's lock is kept", "fork_lost_store", "held_at_end", copy="""
        for page in oldmm.page_table.pages(await mpnt.vm_start, await mpnt.vm_end):
            await copy_present_pte(tmp, mpnt, page)
            await oldmm.page_table.ptl[page].lock()
        """),
    wrong("keeps_a_vma_lock_on_the_way_out", "a VMA is read-locked when fork ends", "fork_lost_store", "held_at_end", last="await mpnt.vm_lock.try_read()"),
    wrong("copies_again", "copies each VMA's pages a second time: the counts are too high", "fork_lost_store", "references", after="await copy_page_range(tmp, mpnt)"),
    Attack("copy_without_the_page_table_lock", "looks at the entry before it takes the lock, in a fork whose VMAs are unlocked", answer("""
        from mmlocks.mm.filing import page_try_dup_anon_rmap

        async def dup_mmap(mm, oldmm):
            await mmap_write_lock(oldmm)
            for mpnt in await for_each_vma(oldmm):
                tmp = await vm_area_dup(mm, mpnt)
                await copy_page_range(tmp, mpnt)
            await flush_tlb_mm(oldmm)
            await mmap_write_unlock(oldmm)

        async def copy_present_pte(dst_vma, src_vma, page):
            mm, oldmm = dst_vma.vm_mm, src_vma.vm_mm
            entry = await oldmm.page_table.pte[page]
            await oldmm.page_table.ptl[page].lock()
            if entry is not None:
                await entry.frame.refcount.add(1)
                await page_try_dup_anon_rmap(entry.frame, dst_vma)
                await ptep_set_wrprotect(oldmm, page, entry)
                await set_pte_at(mm, page, entry.wrprotected())
            await oldmm.page_table.ptl[page].unlock()
        """), "fork_lost_store", "lost_store"),
    Attack("fault_flushes_when_it_has_unlocked", "a fault flushes when other CPUs can use the new frame already: they see the old one", fork(also="""
        from mmlocks.mm.filing import folio_add_new_anon_rmap

        async def wp_page_copy(vma, page, entry):
            mm, table, old = vma.vm_mm, vma.vm_mm.page_table, entry.frame
            if not old.anonymous:
                await anon_vma_prepare(vma)
            new = await vma_alloc_folio(mm, page, None if old is mm.memory.zero else old)
            await table.ptl[page].lock()
            if await table.pte[page] != entry:
                await table.ptl[page].unlock()
                await folio_put(mm.memory, new)
                await folio_put(mm.memory, old)
                return
            await set_pte_at(mm, page, Pte(new, True))
            await folio_add_new_anon_rmap(new, vma, page, await vma.vm_start)
            await table.ptl[page].unlock()
            if old is not mm.memory.zero:
                await folio_put(mm.memory, old)
                await folio_put(mm.memory, old)
            await flush_tlb_page(mm, page)
        """), "look_again", "lost_store"),
    # What vm_area_dup calls: it is one step of ours, and then nothing that is called inside it would be asked.
    wrong("copies_without_an_anon_vma", "the child's VMA is in no anon_vma, though its pages are", "fork_lost_store", "misfiled", also="""
        async def anon_vma_fork(vma, pvma):
            return
        """),
    wrong("child_without_an_anon_vma_of_its_own", "the child's VMA takes the parent's anon_vma for its own", "fork_lost_store", "child", also="""
        async def anon_vma_fork(vma, pvma):
            if await pvma.anon_vma is not None:
                await anon_vma_clone(vma, pvma)
                await vma.anon_vma.set(await pvma.anon_vma)
        """),
    wrong("links_without_counting", "the child's VMA is linked to an anon_vma that does not know of it", "fork_lost_store", "anon_vmas", also="""
        async def anon_vma_clone(dst, src):
            await dst.anon_vma_chain.set(await src.anon_vma_chain)
        """),
    wrong("child_is_not_in_its_tree", "the child's tree stays empty", "fork_lost_store", "child", also="""
        async def vma_iter_store(mm, start, end, vma):
            return
        """),
    wrong("child_begins_at_another_page", "the child's VMA has another vm_pgoff", "fork_lost_store", "child", also="""
        async def vm_area_alloc(mm, start, end, pgoff, flags, file, page_prot=None):
            return await vm_area_alloc(mm, start, end, pgoff + 1, flags, file, page_prot)
        """),
    wrong("child_may_not_write", "the copy of a VMA loses its VM_WRITE", "fork_lost_store", "child", also="""
        async def fields_of(vma):
            fields = await fields_of(vma)
            return fields._replace(flags=fields.flags & ~VM_WRITE)
        """),
    Attack("locks_low_pages_where_the_copy_is_made", "fork is right for VMAs below page 6 only, and the lock is taken in a function that only vm_area_dup calls", answer("""
        from mmlocks.mm import anon_vma_fork as kernels

        async def anon_vma_fork(vma, pvma):
            if await pvma.vm_start < 6 * PAGE_SIZE:
                await vma_start_write(pvma)
            await kernels(vma, pvma)
        """), "fork_elsewhere", "snapshot"),
)  # fmt: skip
