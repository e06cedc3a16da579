"""Copy on write: what happens after a store to a read-only private page."""

from __future__ import annotations

from mmlocks.machine import together
from mmlocks.mm.filemap import wp_page_shared
from mmlocks.mm.filing import folio_add_new_anon_rmap
from mmlocks.mm.frames import folio_put, put_step, vma_alloc_folio
from mmlocks.mm.mm_types import Frame, Pte, Vma
from mmlocks.mm.pagetable import set_pte_at
from mmlocks.mm.rmap import anon_vma_prepare
from mmlocks.mm.tlb import flush_tlb_page
from mmlocks.mm.vm_flags import VM_SHARED


async def do_wp_page(vma: Vma, page: int, entry: Pte) -> None:
    """A store hit a read-only entry: make it writable if the frame is ours alone, else copy.

    Kernel:  mm/memory.c do_wp_page().
    Locks:   mmap_lock for reading, or the VMA for reading; takes the page-table lock.
    Races:   others who changed the entry since it was read: then the store is simply tried again.
    Differs: a frame is ours alone if its count is 1. PageAnonExclusive, KSM and the swap cache do
             not exist here; nor does the frame's own lock (folio_lock), which Linux tries to take
             before it looks at the count.
    """
    mm, table, folio = vma.vm_mm, vma.vm_mm.page_table, entry.frame
    if folio is mm.memory.zero:
        await wp_page_copy(vma, page, entry)
        return
    # One step: the lock keeps entry and count as they are, and vm_flags cannot change meanwhile.
    _, now, count, vm_flags = await together(
        table.ptl[page].lock(), table.pte[page], folio.refcount, vma.vm_flags
    )
    if now != entry:
        await table.ptl[page].unlock()
        return
    if vm_flags & VM_SHARED and folio.dirty is not None:
        await together(folio.refcount.add(1), table.ptl[page].unlock())
        await wp_page_shared(vma, page, entry)
        return
    if count == 1 or vm_flags & VM_SHARED:
        await together(set_pte_at(mm, page, Pte(folio, True)), table.ptl[page].unlock())
        return
    # The reference keeps the frame alive during the copy; it is taken before the lock is free.
    await together(folio.refcount.add(1), table.ptl[page].unlock())
    await wp_page_copy(vma, page, entry)


async def wp_page_copy(vma: Vma, page: int, entry: Pte) -> None:
    """Copy a page to a new frame and map that one, writable.

    Kernel:  mm/memory.c wp_page_copy().
    Locks:   mmap_lock for reading, or the VMA for reading; a reference to the old frame. *The copy
             is made under no other lock*: a CPU that can still write to the old frame meanwhile
             writes to a page that is about to be replaced.
    Races:   the entry may have changed meanwhile; it is compared under the page-table lock, and
             the copy is dropped.
    Differs: the page table's reference to the old frame is dropped before the lock is, not after.
    """
    mm, table, old = vma.vm_mm, vma.vm_mm.page_table, entry.frame
    copied: Frame | None = old
    if not old.anonymous:
        await anon_vma_prepare(vma)  # a VMA that maps an anonymous frame has its anon_vma already
    if old is mm.memory.zero:
        copied = None
    new = await vma_alloc_folio(mm, page, copied)
    _, now, start = await together(table.ptl[page].lock(), table.pte[page], vma.vm_start)
    if now != entry:
        await table.ptl[page].unlock()
        await folio_put(mm.memory, new)
        await folio_put(mm.memory, old)
        return
    # ptep_clear_flush, then set_pte_at, in one step: under the lock only the hardware sees the
    # entry between the two, and could only fault and wait for this lock.
    # *The flush comes after the copy.*
    await together(
        set_pte_at(mm, page, None),
        flush_tlb_page(mm, page),
        folio_add_new_anon_rmap(new, vma, page, start),
        set_pte_at(mm, page, Pte(new, True)),
    )
    if old is mm.memory.zero:
        await table.ptl[page].unlock()
        return
    await together(put_step(old), table.ptl[page].unlock())  # the page table's reference
    await folio_put(mm.memory, old)  # the one taken in do_wp_page
