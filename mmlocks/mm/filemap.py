"""Faults on memory that is backed by a file: the page cache has the page, and stores to private memory get a copy of it."""

from __future__ import annotations

from mmlocks.machine import together
from mmlocks.mm.address import PAGE_SIZE
from mmlocks.mm.frames import folio_put, vma_alloc_folio
from mmlocks.mm.pagecache import File
from mmlocks.mm.pagetable import Pte, set_pte_at
from mmlocks.mm.rmap import anon_vma_prepare
from mmlocks.mm.vm_flags import VM_SHARED
from mmlocks.mm.vma import Vma, linear_page_index

FAULT_FLAG_WRITE = 1
FAULT_FLAG_VMA_LOCK = 2


async def do_fault(vma: Vma, file: File, page: int, flags: int) -> bool:
    """Map a page of a file: the page cache's own frame, or for a store to private memory a copy; False beyond the file's end.

    Kernel:  mm/memory.c do_fault(): do_read_fault(), do_cow_fault(), do_shared_fault().
    Locks:   mmap_lock for reading, or the VMA for reading; takes the page-table lock.
    Races:   another CPU that touches the page first; then its page stays, and ours is dropped.
    Differs: a private mapping maps the page that faulted only, and every page of a file is in the page cache.
    """
    mm, table = vma.vm_mm, vma.vm_mm.page_table
    start, pgoff, vm_flags = await together(vma.vm_start, vma.vm_pgoff, vma.vm_flags)
    writes, shared = flags & FAULT_FLAG_WRITE, vm_flags & VM_SHARED
    if writes and not shared:
        await anon_vma_prepare(
            vma
        )  # before the file is asked: the VMA keeps it even if there is no such page
    cached = file.frame(linear_page_index(pgoff, start, page * PAGE_SIZE))
    if cached is None:
        return False
    if writes and not shared:
        new = await vma_alloc_folio(mm, page, cached)
    else:
        new = cached
        await cached.refcount.add(1)
    _, now = await together(table.ptl[page].lock(), table.pte[page])
    if now is not None:
        await table.ptl[page].unlock()
        await folio_put(mm.memory, new)
        return True
    await together(set_pte_at(mm, page, Pte(new, bool(writes))), table.ptl[page].unlock())
    return True
