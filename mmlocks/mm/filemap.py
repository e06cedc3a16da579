"""Faults on files: the page cache has the page, and a store to private memory gets a copy."""

from __future__ import annotations

from mmlocks.machine import together
from mmlocks.mm.address import PAGE_SIZE
from mmlocks.mm.filing import folio_add_new_anon_rmap, linear_page_index
from mmlocks.mm.frames import folio_put, vma_alloc_folio
from mmlocks.mm.mm_types import File, Frame, Pte, Vma
from mmlocks.mm.pagecache import page_mkwrite
from mmlocks.mm.pagetable import set_pte_at
from mmlocks.mm.rmap import anon_vma_prepare
from mmlocks.mm.vm_flags import FAULT_FLAG_VMA_LOCK, FAULT_FLAG_WRITE, VM_SHARED
from mmlocks.releases import FIRST_FAULT_FALLS_BACK


async def do_fault(vma: Vma, file: File, page: int, flags: int) -> bool:
    """Map a page of a file: the page cache's own frame, or a copy for a store to private memory.

    False beyond the file's end, and if the slow path has to do it.

    Kernel:  mm/memory.c do_fault(): do_read_fault(), do_cow_fault(), do_shared_fault().
    Locks:   mmap_lock for reading, or the VMA for reading; takes the page-table lock.
    Races:   another CPU that touches the page first; then its page stays, and ours is dropped.
    Differs: a private mapping maps only the page that faulted, and every page of a file is in the
             page cache. 6.6 leaves most of this to the slow path, all but the mapping of the pages
             around that the page cache has; 6.7 does not. The page is not locked meanwhile
             (folio_lock); see rmap_walk_file.
    """
    if not flags & FAULT_FLAG_WRITE:
        return await do_read_fault(vma, file, page)
    start, pgoff, vm_flags = await together(vma.vm_start, vma.vm_pgoff, vma.vm_flags)
    cached = file.frame(linear_page_index(pgoff, start, page * PAGE_SIZE))
    # Before the file is asked: the VMA keeps its anon_vma even if there is no such page.
    if not vm_flags & VM_SHARED and not await vmf_anon_prepare(vma, flags):
        return False
    if cached is None:
        return False
    if not vm_flags & VM_SHARED:
        new = await vma_alloc_folio(vma.vm_mm, page, cached)
    else:
        new = cached
        await new.refcount.add(1)
        await page_mkwrite(new)
    await finish_fault(vma, page, new, start)
    return True


async def do_read_fault(vma: Vma, file: File, page: int) -> bool:
    """Map a page of a file for a load; False beyond the file's end.

    Kernel:  mm/memory.c do_read_fault(), do_fault_around(); mm/filemap.c filemap_map_pages().
    Locks:   mmap_lock for reading, or the VMA for reading; takes the page-table lock.
    Races:   *a writer that shows the VMA to others before it is complete*: the entry keeps what
             vm_page_prot says now.
    Differs: maps no other pages around it. An entry that is writable from the start counts as made
             by a store: a CPU that has only read through it can store through its TLB. The page is
             not locked meanwhile (folio_lock); see rmap_walk_file.
    """
    mm, table = vma.vm_mm, vma.vm_mm.page_table
    # The VMA's fields are read as early as they may be: what changes later is not in the entry.
    _, now, start, pgoff, writable = await together(
        table.ptl[page].lock(), table.pte[page], vma.vm_start, vma.vm_pgoff, vma.vm_page_prot
    )
    cached = file.frame(linear_page_index(pgoff, start, page * PAGE_SIZE))
    if now is not None or cached is None:
        await table.ptl[page].unlock()
        return cached is not None
    # The page cache keeps the frame, so our reference can wait until here.
    await together(
        cached.refcount.add(1),
        set_pte_at(mm, page, Pte(cached, writable)),
        table.ptl[page].unlock(),
    )
    return True


async def vmf_anon_prepare(vma: Vma, flags: int) -> bool:
    """Give the VMA of a file its anon_vma, before a store gets a copy.

    False if the slow path has to do it.

    Kernel:  mm/memory.c vmf_anon_prepare() (since 164b06f238b9, 6.7; before, each caller did it).
    Locks:   mmap_lock for reading, to look at the neighbours. With only the VMA lock for reading,
             it does nothing.
    """
    if FIRST_FAULT_FALLS_BACK:
        if flags & FAULT_FLAG_VMA_LOCK and await vma.anon_vma is None:
            return False
    await anon_vma_prepare(vma)
    return True


async def finish_fault(vma: Vma, page: int, folio: Frame, start: int) -> None:
    """Map a frame writable, unless another CPU was faster (mm/memory.c finish_fault).

    Locks:   as do_fault, and a reference to the frame; takes the page-table lock.
    Differs: the page is not locked meanwhile (folio_lock); see rmap_walk_file.
    """
    mm, table = vma.vm_mm, vma.vm_mm.page_table
    _, now = await together(table.ptl[page].lock(), table.pte[page])
    if now is not None:
        await table.ptl[page].unlock()
        await folio_put(mm.memory, folio)
        return
    filed = [folio_add_new_anon_rmap(folio, vma, page, start)] if folio.anonymous else []
    await together(*filed, set_pte_at(mm, page, Pte(folio, True)), table.ptl[page].unlock())


async def wp_page_shared(vma: Vma, page: int, entry: Pte) -> None:
    """Make a page of a file writable, after the file system has been told.

    Kernel:  mm/memory.c wp_page_shared(), finish_mkwrite_fault().
    Locks:   mmap_lock for reading, or the VMA for reading; a reference to the frame. Takes the
             page-table lock.
    Races:   others who changed the entry meanwhile: then the store is simply tried again.
    Differs: the page is not locked meanwhile (folio_lock); see rmap_walk_file.
    """
    mm, table, folio = vma.vm_mm, vma.vm_mm.page_table, entry.frame
    await page_mkwrite(folio)
    _, now = await together(table.ptl[page].lock(), table.pte[page])
    if now != entry:
        await table.ptl[page].unlock()
    else:
        await together(set_pte_at(mm, page, Pte(folio, True)), table.ptl[page].unlock())
    await folio_put(mm.memory, folio)
