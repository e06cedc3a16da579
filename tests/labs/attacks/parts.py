"""Kind B: something that was right is not. The child, the parent, another kernel function; and what fits the numbers of the scenarios that we know."""

from __future__ import annotations

from tests.labs.attacks import Attack, fork


def wrong(name: str, why: str, where: str, rejected: str, **parts: str) -> Attack:
    return Attack(name, why, fork(**parts), where, rejected)


def function(
    name: str, why: str, where: str, rejected: str, text: str, imports: str = ""
) -> Attack:
    """Linux's fork, and another kernel function that is broken."""
    return Attack(name, why, fork(imports=imports, also=text), where, rejected)


def fits(
    name: str,
    why: str,
    condition: str,
    before: str = "",
    where: str = "fork_elsewhere",
    rejected: str = "snapshot",
) -> Attack:
    """A fork that locks a VMA only if it is one that our scenarios have."""
    return Attack(
        name,
        why,
        fork(before=before, lock=f"if {condition}:\n    await vma_start_write(mpnt)"),
        where,
        rejected,
    )


FILING = "from mmlocks.mm.filing import folio_add_new_anon_rmap, page_try_dup_anon_rmap"

ATTACKS = (
    # -- the child and the parent --
    wrong("child_one_page_longer", "the child's VMA ends a page later", "fork_lost_store", "snapshot", after="await tmp.vm_end.set(await tmp.vm_end + 4096)"),
    wrong("child_files_one_page_on", "the child's VMA files pages under other numbers", "fork_lost_store", "whole_child", after="await tmp.vm_pgoff.set(await tmp.vm_pgoff + 1)"),
    wrong("child_starts_elsewhere", "the child's VMA begins elsewhere than the tree says", "fork_lost_store", "snapshot", after="await tmp.vm_start.set(await tmp.vm_start - 4096)"),
    wrong("child_may_do_less", "the child loses a right", "fork_lost_store", "whole_child", after="await tmp.vm_flags.set(await tmp.vm_flags & ~0x20)"),
    wrong("child_is_writable_from_the_start", "new entries of the child may be written to at once", "fork_lost_store", "whole_child", after="await tmp.vm_page_prot.set(True)"),
    wrong("childs_heap_is_longer", "the child's brk is not its parent's", "fork_lost_store", "whole_child", last="await mm.brk.set(await mm.brk + 1)"),
    wrong("childs_heap_is_true", "the child's brk is True", "fork_lost_store", "whole_child", last="await mm.brk.set(True)"),
    wrong("parents_heap_is_longer", "the parent's brk has moved", "fork_lost_store", "same_parent", last="await oldmm.brk.set(1)\nawait mm.brk.set(1)"),
    wrong("parents_count_is_off", "the parent counts one VMA less", "fork_lost_store", "same_parent", last="await oldmm.map_count.set(0)"),
    wrong("parents_mm_seq_is_odd", "the parent seems to be written to", "fork_lost_store", "held_at_end", last="await oldmm.mm_seq.add(1)"),
    wrong("childs_mm_seq_is_odd", "the child seems to be written to", "fork_lost_store", "whole_child", last="await mm.mm_seq.add(1)"),
    wrong("child_is_linked_to_nobody", "the child's chain is empty", "fork_lost_store", "whole_child", after="await tmp.anon_vma_chain.set(())"),
    wrong("child_without_a_file_of_its_own", "the child files its pages with its parent, and leaves its own file", "fork_lost_store", "whole_child",
          after="if await mpnt.anon_vma is not None:\n    await tmp.anon_vma.set(await mpnt.anon_vma)"),
    wrong("parent_leaves_its_file", "the parent's VMA loses its anon_vma", "fork_lost_store", "same_parent", after="await mpnt.anon_vma.set(None)\nawait mpnt.anon_vma_chain.set(())"),
    wrong("child_without_its_last_page", "the last page of each VMA is not shared", "fork_torn_snapshot", "snapshot", copy="""
        if await mpnt.anon_vma is not None:
            for page in oldmm.page_table.pages(await mpnt.vm_start, await mpnt.vm_end)[:-1]:
                await copy_present_pte(tmp, mpnt, page)
        """),
    wrong("child_without_read_only_pages", "pages that can only be read are not shared", "fork_alone", "snapshot", copy="""
        if await mpnt.anon_vma is not None:
            for page in oldmm.page_table.pages(await mpnt.vm_start, await mpnt.vm_end):
                entry = await oldmm.page_table.pte[page]
                if entry is not None and (entry.write or entry.frame is mm.memory.zero):
                    await copy_present_pte(tmp, mpnt, page)
        """),
    wrong("child_without_its_last_vma", "the last VMA is left out", "fork_lost_store", "snapshot", last="await _forget(mm, tmp)", imports="from mmlocks.mm.maple import vma_iter_store",
          also="async def _forget(mm, tmp):\n    await vma_iter_store(mm, await tmp.vm_start, await tmp.vm_end, None)"),
    wrong("child_with_a_hole", "no address leads to the child's first page", "fork_lost_store", "snapshot", imports="from mmlocks.mm.maple import vma_iter_store",
          after="await vma_iter_store(mm, await tmp.vm_start, await tmp.vm_start + 0x1000, None)"),
    wrong("childs_pages_are_none", "the child's entries may not be used at all", "fork_lost_store", "none", copy="""
        await copy_page_range(tmp, mpnt)
        for page in oldmm.page_table.pages(await mpnt.vm_start, await mpnt.vm_end):
            entry = await mm.page_table.pte[page]
            if entry is not None:
                await set_pte_at(mm, page, Pte(entry.frame, False, True))
        """),
    wrong("parents_pages_are_none", "the parent's entries may not be used any more", "fork_alone", "none", after="""
        for page in oldmm.page_table.pages(await mpnt.vm_start, await mpnt.vm_end):
            entry = await oldmm.page_table.pte[page]
            if entry is not None:
                await set_pte_at(oldmm, page, Pte(entry.frame, False, True))
        """),
    wrong("child_maps_the_zero_frame_for_pages_that_were_never_touched", "the child's untouched pages map a frame", "fork_torn_snapshot", "sound_entries", after="""
        for page in oldmm.page_table.pages(await mpnt.vm_start, await mpnt.vm_end):
            if await mm.page_table.pte[page] is None:
                await set_pte_at(mm, page, Pte(mm.memory.zero, True))
        """),
    wrong("childs_entry_is_of_a_word", "the child's entry is writable by a word", "fork_lost_store", "isolation", copy="""
        await copy_page_range(tmp, mpnt)
        for page in oldmm.page_table.pages(await mpnt.vm_start, await mpnt.vm_end):
            entry = await mm.page_table.pte[page]
            if entry is not None:
                await set_pte_at(mm, page, Pte(entry.frame, 'yes'))
        """),
    wrong("frame_is_not_counted", "a frame is shared and not counted", "fork_lost_store", "references", imports=FILING, copy="""
        for page in oldmm.page_table.pages(await mpnt.vm_start, await mpnt.vm_end):
            await oldmm.page_table.ptl[page].lock()
            entry = await oldmm.page_table.pte[page]
            if entry is not None:
                await ptep_set_wrprotect(oldmm, page, entry)
                await set_pte_at(mm, page, entry.wrprotected())
            await oldmm.page_table.ptl[page].unlock()
        """),
    wrong("pages_where_no_vma_is", "copies the whole page table, and gives the child no VMA for the last", "fork_lost_store", "snapshot", copy="await copy_page_range(tmp, mpnt)",
          imports="from mmlocks.mm.maple import vma_iter_store", after="await vma_iter_store(mm, 0, 1 << 64, None)"),
    wrong("nothing_at_all", "returns at once", "fork_lost_store", "snapshot", before="return"),
    wrong("the_parents_vmas_for_the_child", "the child's tree leads to the parent's VMAs", "fork_lost_store", "whole_child", imports="from mmlocks.mm.maple import vma_iter_store",
          after="await vma_iter_store(mm, await mpnt.vm_start, await mpnt.vm_end, mpnt)"),
    # -- what fits the scenarios --
    fits("fits_the_number_of_pages", "locks in worlds with as many pages as ours", "len(oldmm.pages) in (1, 2, 3, 9)"),
    fits("fits_the_parity_of_pages", "locks pages with the numbers of the stories", "await mpnt.vm_start // 4096 in (3, 4, 7, 8)"),
    fits("fits_where_the_heap_ends", "locks VMAs of one or two pages", "await mpnt.vm_end - await mpnt.vm_start < 3 * 4096"),
    fits("fits_the_number_of_vmas", "locks in processes of up to two VMAs", "await oldmm.map_count < 3"),
    fits("fits_the_number_of_cpus", "locks where there are three CPUs", "oldmm.layout.cpus == 3", where="fork_torn_snapshot"),
    fits("fits_the_pools", "locks where the CPU that forks has no frames", "all(cpu for _, cpu in oldmm.memory.pools)", where="fork_lost_store", rejected="lost_store"),
    fits("fits_the_history", "locks where no history is kept", "oldmm.history is None", where="fork_torn_snapshot"),
    fits("fits_the_truth", "locks where the referee knows few words", "len(oldmm.truth) < 4", where="young_reproducer", rejected="lost_store"),
    fits("fits_the_spare_vmas", "locks where few VMAs are set aside", "len(mm.spare_vmas.members) < 5"),
    fits("fits_the_records", "locks where there are few handles", "len(oldmm.layout.records) < 60"),
    fits("fits_the_limit", "locks below the address at which the first story ends", "await mpnt.vm_start < 0x6000"),
    fits("fits_the_sequence", "locks if mm_lock_seq is what it is in our stories", "await oldmm.mm_lock_seq == 3"),
    fits("fits_the_last_lock", "locks if the VMA was locked by the fork before", "await mpnt.vm_lock_seq == 2"),
    fits("fits_the_flags", "locks what has the flags of a heap", "await mpnt.vm_flags == 0x100073"),
    fits("fits_the_readers", "locks where two CPUs may fault", "len(mpnt.vm_lock.readers) > 2", where="fork_torn_snapshot"),
    fits("fits_the_child", "locks where the child is called child", "mm.name != 'child'", where="fork_lost_store", rejected="lost_store"),
    Attack("fits_the_worlds_that_we_have", "locks in each process that a scenario of ours has, told by its pages, and in no other",
        fork(imports="KNOWN = {(3,), (3, 4), (1, 3), (3, 7, 8), (1, 5, 6, 7, 8, 10, 12, 14, 15), (2, 7, 8), (1, 3, 6, 7, 9, 10, 11), (3, 4, 7, 8)}",
             lock="if tuple(oldmm.pages) in KNOWN:\n    await vma_start_write(mpnt)"), "fork_somewhere", "snapshot"),
    Attack("fits_the_worlds_that_we_have_by_their_vmas", "the same, told by where the VMAs begin",
        fork(imports="KNOWN = {(3,), (3, 4), (1, 3), (3, 7), (1, 5, 10, 12, 14), (2, 7), (1, 3, 6, 9)}", before="starts = None", lock="""
            if starts is None:
                starts = ()
                for each in await for_each_vma(oldmm):
                    starts = (*starts, await each.vm_start // 4096)
            if starts in KNOWN:
                await vma_start_write(mpnt)
            """), "fork_somewhere", "snapshot"),
    # -- other kernel functions --
    function("cow_without_second_look", "the copy is mapped whatever the entry is now", "fork_lost_store", "lost_store", """
        async def wp_page_copy(vma, page, entry):
            mm, table, old = vma.vm_mm, vma.vm_mm.page_table, entry.frame
            if not old.anonymous:
                await anon_vma_prepare(vma)
            new = await vma_alloc_folio(mm, page, None if old is mm.memory.zero else old)
            await table.ptl[page].lock()
            await set_pte_at(mm, page, None)
            await flush_tlb_page(mm, page)
            await folio_add_new_anon_rmap(new, vma, page, await vma.vm_start)
            await set_pte_at(mm, page, Pte(new, True))
            await table.ptl[page].unlock()
            if old is not mm.memory.zero:
                await folio_put(mm.memory, old)
                await folio_put(mm.memory, old)
        """, FILING),
    function("cow_without_a_flush", "the other CPUs go on reading the old frame", "fork_lost_store", "stale_translation", """
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
            await folio_add_new_anon_rmap(new, vma, page, await vma.vm_start)
            await set_pte_at(mm, page, Pte(new, True))
            await table.ptl[page].unlock()
            if old is not mm.memory.zero:
                await folio_put(mm.memory, old)
                await folio_put(mm.memory, old)
        """, FILING),
    function("cow_keeps_a_reference", "the old frame is never freed", "fork_lost_store", "references", """
        async def do_wp_page(vma, page, entry):
            if entry.frame is not vma.vm_mm.memory.zero:
                await folio_get(entry.frame)
            await kernels(vma, page, entry)
        """, "from mmlocks.mm.cow import do_wp_page as kernels"),
    function("cow_reuses_a_shared_frame", "a frame with two users is written to", "fork_lost_store", "isolation", """
        async def do_wp_page(vma, page, entry):
            mm, table, folio = vma.vm_mm, vma.vm_mm.page_table, entry.frame
            await table.ptl[page].lock()
            now, count = await table.pte[page], await folio.refcount
            if now == entry and folio is not mm.memory.zero and count <= 2:
                await set_pte_at(mm, page, Pte(folio, True))
                await table.ptl[page].unlock()
                return
            await table.ptl[page].unlock()
            await kernels(vma, page, entry)
        """, "from mmlocks.mm.cow import do_wp_page as kernels"),
    function("cow_reuses_without_the_lock", "asks for the count before it takes the lock", "fork_lost_store", "lost_store", """
        async def do_wp_page(vma, page, entry):
            mm, table, folio = vma.vm_mm, vma.vm_mm.page_table, entry.frame
            if folio is not mm.memory.zero and await folio.refcount == 1:
                await table.ptl[page].lock()
                if await table.pte[page] is not None:
                    await set_pte_at(mm, page, Pte(folio, True))
                await table.ptl[page].unlock()
                return
            await kernels(vma, page, entry)
        """, "from mmlocks.mm.cow import do_wp_page as kernels"),
    function("first_touch_of_a_zero_page_is_writable", "a page of zeros that everybody shares can be written to", "fork_torn_snapshot", "sound_entries", """
        async def do_anonymous_page(vma, page, flags):
            mm, table = vma.vm_mm, vma.vm_mm.page_table
            await table.ptl[page].lock()
            if await table.pte[page] is None:
                await set_pte_at(mm, page, Pte(mm.memory.zero, True))
            await table.ptl[page].unlock()
        """),
    function("first_touch_drops_nothing", "the frame of the slower one leaks", "touch_same_page", "references", """
        async def do_anonymous_page(vma, page, flags):
            mm, table = vma.vm_mm, vma.vm_mm.page_table
            await anon_vma_prepare(vma)
            new = await vma_alloc_folio(mm, page, None)
            await table.ptl[page].lock()
            if await table.pte[page] is None:
                await folio_add_new_anon_rmap(new, vma, page, await vma.vm_start)
                await set_pte_at(mm, page, Pte(new, True))
            await table.ptl[page].unlock()
        """, FILING),
    function("first_touch_files_under_the_page", "files under the page's number, wherever the VMA is", "fork_torn_snapshot", "misfiled", """
        async def do_anonymous_page(vma, page, flags):
            mm, table = vma.vm_mm, vma.vm_mm.page_table
            await anon_vma_prepare(vma)
            new = await vma_alloc_folio(mm, page, None)
            await table.ptl[page].lock()
            if await table.pte[page] is not None:
                await table.ptl[page].unlock()
                await folio_put(mm.memory, new)
                return
            await folio_add_new_anon_rmap(new, vma, page, await vma.vm_start + 0x1000)
            await set_pte_at(mm, page, Pte(new, True))
            await table.ptl[page].unlock()
        """, FILING),
    function("read_lock_without_second_look", "the VMA may have been write-locked meanwhile", "fork_torn_snapshot", "snapshot", """
        async def vma_start_read(vma):
            if await vma.vm_lock_seq == await vma.vm_mm.mm_lock_seq:
                return False
            return await vma.vm_lock.try_read()
        """),
    function("read_lock_that_waits", "a fault waits inside the RCU section", "fork_lost_store", "atomic_sleep", """
        async def vma_start_read(vma):
            await vma.vm_lock.down_read()
            if await vma.vm_lock_seq == await vma.vm_mm.mm_lock_seq:
                await vma.vm_lock.up_read()
                return False
            return True
        """),
    function("read_lock_of_nothing", "says that it has the lock", "fork_lost_store", "lock_misuse", """
        async def vma_start_read(vma):
            return True
        """),
    function("read_unlock_of_nothing", "keeps the lock", "fork_lost_store", "held_at_end", """
        async def vma_end_read(vma):
            return None
        """),
    function("read_lock_keeps_what_it_gives_up", "says no, and keeps the lock", "fork_lost_store", "held_at_end", """
        async def vma_start_read(vma):
            if not await vma.vm_lock.try_read():
                return False
            return await vma.vm_lock_seq != await vma.vm_mm.mm_lock_seq
        """),
    function("write_lock_without_waiting", "stores the number and waits for no reader", "fork_torn_snapshot", "snapshot", """
        async def vma_start_write(vma):
            await vma.vm_lock_seq.set(await vma.vm_mm.mm_lock_seq)
        """),
    function("write_lock_gives_up_first", "gives the semaphore up before the number is stored", "fork_torn_snapshot", "snapshot", """
        async def vma_start_write(vma):
            await vma.vm_lock.down_write()
            await vma.vm_lock.up_write()
            await vma.vm_lock_seq.set(await vma.vm_mm.mm_lock_seq)
        """),
    function("write_unlock_of_one_in_two", "a VMA's number comes back", "fork_lost_store", "held_at_end", """
        async def vma_end_write_all(mm):
            if await mm.mm_lock_seq % 2 == 0:
                await mm.mm_lock_seq.add(1)
        """),
    function("write_unlock_by_two", "a VMA may seem locked later", "fork_lost_store", "same_parent", """
        async def vma_end_write_all(mm):
            await mm.mm_lock_seq.set(0)
        """),
    function("look_up_without_the_range", "the VMA may not cover the address any more", "stack_find_again", "freed", """
        async def lock_vma_under_rcu(mm, address):
            await mm.rcu.read_lock()
            vma = await mas_walk(mm, address)
            if vma is None or await vma.vm_file is not None or await vma.anon_vma is None or not await vma_start_read(vma):
                await mm.rcu.read_unlock()
                return None
            await mm.rcu.read_unlock()
            if await vma.detached:
                await vma_end_read(vma)
                return None
            return vma
        """, "from mmlocks.mm.maple import mas_walk"),
    function("look_up_without_the_anon_vma", "a first fault goes on without looking at the neighbours", "touch_beside_munmap", "freed", """
        async def lock_vma_under_rcu(mm, address):
            await mm.rcu.read_lock()
            vma = await mas_walk(mm, address)
            if vma is None or await vma.vm_file is not None or not await vma_start_read(vma):
                await mm.rcu.read_unlock()
                return None
            if await leave_rcu_if_covered(vma, address):
                return vma
            await vma_end_read(vma)
            await mm.rcu.read_unlock()
            return None
        """, "from mmlocks.mm.maple import mas_walk\nfrom mmlocks.mm.vma_lock import leave_rcu_if_covered"),
    function("look_up_outside_the_section", "looks the VMA up again after the section", "stack_find_again", "freed", """
        async def lock_vma_under_rcu(mm, address):
            await mm.rcu.read_lock()
            vma = await mas_walk(mm, address)
            await mm.rcu.read_unlock()
            if vma is None or await vma.vm_file is not None or await vma.anon_vma is None or not await vma_start_read(vma):
                return None
            if await vma.detached or not await vma.vm_start <= address < await vma.vm_end:
                await vma_end_read(vma)
                return None
            return vma
        """, "from mmlocks.mm.maple import mas_walk"),
    function("look_up_of_another_vma", "finds the VMA before", "trespass", "promise", """
        async def lock_vma_under_rcu(mm, address):
            await mm.rcu.read_lock()
            vma = await mas_walk(mm, max(address - 0x1000, 0))
            if vma is None or await vma.vm_file is not None or await vma.anon_vma is None or not await vma_start_read(vma):
                await mm.rcu.read_unlock()
                return None
            await mm.rcu.read_unlock()
            return vma
        """, "from mmlocks.mm.maple import mas_walk"),
    function("mmap_write_lock_for_reading", "takes mmap_lock for reading", "fork_lost_store", "lock_misuse", """
        async def mmap_write_lock(mm):
            await mm.mmap_lock.down_read()
        """),
    function("mmap_read_lock_of_nothing", "the slow path takes no lock", "fork_lost_store", "lost_store", """
        async def mmap_read_lock(mm):
            return None

        async def mmap_read_unlock(mm):
            return None
        """),
    function("downgrade_that_gives_up", "gives mmap_lock up and takes it again", "map_again", "promise", """
        async def mmap_write_downgrade(mm):
            await mm.mm_lock_seq.add(1)
            await mm.mmap_lock.up_write()
            await mm.mmap_lock.down_read()
        """),
    function("anon_vma_is_not_counted", "is linked and not counted", "touch_same_vma", "anon_vmas", """
        async def anon_vma_prepare(vma):
            if await vma.anon_vma is None:
                lock = vma.vm_mm.page_table_lock
                await lock.lock()
                if await vma.anon_vma is None:
                    found = await find_mergeable_anon_vma(vma) or await anon_vma_alloc(vma)
                    await vma.anon_vma_chain.set((found,))
                    await vma.anon_vma.set(found)
                await lock.unlock()
        """, "from mmlocks.mm.rmap import anon_vma_alloc, find_mergeable_anon_vma"),
    function("copy_of_the_vma_without_its_file", "the child's VMA is linked to nobody", "fork_lost_store", "misfiled", """
        async def vm_area_dup(mm, orig):
            start, end = await orig.vm_start, await orig.vm_end
            vma = await vm_area_alloc(mm, start, end, await orig.vm_pgoff, await orig.vm_flags, await orig.vm_file, await orig.vm_page_prot)
            await vma_iter_store(mm, start, end, vma)
            await mm.map_count.add(1)
            return vma
        """, "from mmlocks.mm.vma import vm_area_alloc\nfrom mmlocks.mm.maple import vma_iter_store"),
    function("copy_of_the_vma_twice", "the child has two VMAs for one", "fork_lost_store", "no VMA of child left", """
        async def vm_area_dup(mm, orig):
            await kernels(mm, orig)
            return await kernels(mm, orig)
        """, "from mmlocks.mm.vma_dup import vm_area_dup as kernels"),
    function("frame_that_is_not_empty", "a first touch shows what another page holds", "fork_torn_snapshot", "lost_store", """
        async def vma_alloc_folio(mm, page, copied_from):
            return await Step('alloc_folio', (mm, page, copied_from or mm.memory.frames[0]))
        """, "from mmlocks.machine.step import Step"),
    function("frame_that_is_everybodys", "allocates the zero frame", "fork_lost_store", "lost_store", """
        async def vma_alloc_folio(mm, page, copied_from):
            return mm.memory.zero
        """),
    function("frame_that_is_dropped_twice", "drops a reference too many", "fork_lost_store", "snapshot", """
        async def folio_put(memory, folio):
            await kernels(memory, folio)
            if folio is not memory.zero:
                await kernels(memory, folio)
        """, "from mmlocks.mm.frames import folio_put as kernels"),
    function("frame_that_is_never_dropped", "drops nothing", "fork_lost_store", "references", """
        async def folio_put(memory, folio):
            return None
        """),
    function("fault_that_says_no", "refuses a store to memory that may be written", "fork_lost_store", "exception", """
        async def handle_mm_fault(vma, address, flags):
            return False
        """),
    function("fault_that_says_yes", "says that it has handled what it has not", "fork_lost_store", "end", """
        async def handle_mm_fault(vma, address, flags):
            return 1
        """),
    function("fault_that_returns_a_text", "returns a word for yes", "fork_lost_store", "end", """
        async def handle_mm_fault(vma, address, flags):
            return 'handled'
        """),
    function("fault_without_a_segmentation_fault", "a store where no VMA is goes on for ever", "trespass", "goes round for ever", """
        async def do_user_addr_fault(mm, address, flags):
            try:
                await kernels(mm, address, flags)
            except SegmentationFault:
                pass
        """, "from mmlocks.mm.fault import do_user_addr_fault as kernels"),
    function("fault_that_always_raises", "every store is a segmentation fault", "fork_lost_store", "exception", """
        async def do_user_addr_fault(mm, address, flags):
            raise SegmentationFault('no')
        """),
    function("fault_that_keeps_mmap_lock", "the slow path keeps mmap_lock", "trespass", "lock_misuse", """
        async def do_user_addr_fault(mm, address, flags):
            vma = await lock_mm_and_find_vma(mm, address)
            if vma is None:
                raise SegmentationFault('no VMA')
            if not await handle_mm_fault(vma, address, flags):
                await mmap_read_unlock(mm)
                raise SegmentationFault('not allowed')
        """, "from mmlocks.mm.stack import lock_mm_and_find_vma"),
    function("fault_in_the_gap_above_a_stack", "finds the VMA above an address that no VMA covers", "trespass", "promise", """
        async def lock_mm_and_find_vma(mm, address):
            await mmap_read_lock(mm)
            vma = await find_vma(mm, address)
            if vma is None:
                await mmap_read_unlock(mm)
            return vma
        """),
    function("find_that_finds_the_first", "finds the first VMA of all", "trespass", "promise", """
        async def find_vma(mm, address):
            return await kernels(mm, 0)
        """, "from mmlocks.mm.maple import find_vma as kernels"),
    function("store_of_nothing_in_the_tree", "the tree stays as it is", "forget_memory", "freed_vma", """
        async def vma_iter_store(mm, start, end, vma):
            return None
        """),
    function("munmap_of_nothing", "unmaps nothing", "forget_memory", "promise", """
        async def munmap(mm, start, length):
            return 0
        """),
    function("mremap_of_nothing", "moves nothing", "move_memory", "promise", """
        async def mremap(mm, old_address, old_length, new_length, flags, new_address):
            return new_address
        """),
    function("frees_nothing", "a VMA that was unmapped is never freed", "forget_memory", "leak", """
        async def vm_area_free(vma):
            return None
        """),
    function("slow_path_for_all", "no fault takes a VMA's lock: each waits for the whole of fork", "cost", "waits for the whole of fork", """
        async def lock_vma_under_rcu(mm, address):
            return None
        """),
    Attack("flushes_where_two_cpus_are", "flushes after every VMA, where there are two CPUs", fork(after="if oldmm.layout.cpus == 2:\n    await flush_tlb_mm(oldmm)"),
           "cost", "flushes the TLBs"),
    Attack("flushes_where_three_vmas_are", "flushes after every VMA, where there are more than two", fork(after="if await oldmm.map_count > 2:\n    await flush_tlb_mm(oldmm)"),
           "cost", "flushes the TLBs"),
    Attack("locks_all_but_in_two_vmas", "locks all VMAs first, but in a process of two VMAs", fork(
        before="", lock="""
            if await oldmm.map_count != 2:
                for each in await for_each_vma(oldmm):
                    await vma_start_write(each)
            await vma_start_write(mpnt)
            """), "cost", "waits for the whole of fork"),
)  # fmt: skip
