"""Reclaim: where memory is short, a CPU that wants a frame first takes a page from a process.

It may be any process. And the CPU may hold locks already: a fault comes here with its VMA locked
for reading. So the order of locks matters: a CPU that holds a lock that reclaim takes must not
wait for a VMA.
"""

from __future__ import annotations

from mmlocks.machine import Layout, Step, View, operation, together
from mmlocks.machine.step import Footprint, alive, touching
from mmlocks.mm.address import PAGE_SIZE
from mmlocks.mm.frames import folio_put
from mmlocks.mm.mm_types import File, Frame, Vma
from mmlocks.mm.pagetable import set_pte_at
from mmlocks.mm.tlb import flush_tlb_page


async def try_to_free_pages(file: File) -> None:
    """Take the first page of a file from all that map it, so that the page cache could drop it.

    Kernel:  mm/vmscan.c try_to_free_pages(), shrink_folio_list().
    Locks:   those of a caller that wants a frame: mmap_lock for reading, or a VMA for reading.
             Takes i_mmap_rwsem for reading.
    Differs: the scenario chooses the page, not a list of the pages used least. The page stays in
             the page cache, and the frame that the caller gets was set aside for it.
    """
    folio = file.frame(0)
    if folio is not None:
        await rmap_walk_file(file, folio, 0)


async def rmap_walk_file(file: File, folio: Frame, index: int) -> None:
    """Take a page of a file out of every page table that shows it.

    Kernel:  mm/rmap.c rmap_walk_file(), try_to_unmap_one().
    Locks:   takes i_mmap_rwsem for reading, which keeps each VMA's place in the file as it is; and
             each page-table lock. *Neither mmap_lock nor a VMA lock.*
    Races:   faults that bring the page back.
    Differs: Linux also holds the page's own lock (folio_lock); a fault waits for it before it maps
             the page. Here a fault can map the page where the walk has been, and the walk ends with
             the page mapped. (tests/mm/test_rmap_locks.py shows it.)
    """
    await file.i_mmap_rwsem.down_read()
    for vma in await vma_interval_tree_foreach(file):
        await try_to_unmap_one(vma, folio, index)
    await file.i_mmap_rwsem.up_read()


def vma_interval_tree_foreach(file: File) -> Step:
    """The step that finds a file's VMAs in the order of a walk: by vm_pgoff, then the older first.

    mremap relies on that order: a walk does not miss a page that moves to a later VMA. It is one
    step, as the lock keeps the VMAs and their places as they are.

    Kernel:  mm/interval_tree.c vma_interval_tree_iter_first(), vma_interval_tree_iter_next().
    Locks:   i_mmap_rwsem in either mode.
    Differs: also visits VMAs that do not reach the page; try_to_unmap_one skips them.
    """
    return Step("vma_interval_tree_foreach", (file,))


async def try_to_unmap_one(vma: Vma, folio: Frame, index: int) -> None:
    """The same for one VMA (mm/rmap.c try_to_unmap_one).

    Locks:   i_mmap_rwsem for reading; takes the page-table lock.
    """
    table = vma.vm_mm.page_table
    start, end, pgoff = await together(vma.vm_start, vma.vm_end, vma.vm_pgoff)
    page = start // PAGE_SIZE + index - pgoff
    if not start <= page * PAGE_SIZE < end:
        return
    _, entry = await together(table.ptl[page].lock(), table.pte[page])
    if entry is None or entry.frame is not folio:
        await table.ptl[page].unlock()
        return
    # One step: under the lock only the hardware sees the entry, and all that it does before the
    # flush it could have done before this step.
    await together(
        set_pte_at(vma.vm_mm, page, None), flush_tlb_page(vma.vm_mm, page), table.ptl[page].unlock()
    )
    await folio_put(vma.vm_mm.memory, folio)


def _foreach(view: View, cpu: int, file: File) -> tuple[Vma, ...]:
    def place(vma: Vma) -> int:
        pgoff: int = alive(view, cpu, vma.vm_pgoff.index, "reads")
        return pgoff

    return tuple(sorted(view[file.i_mmap.index], key=place))


def _foreach_touches(layout: Layout, cpu: int, file: File) -> Footprint:
    places = [
        record.vm_pgoff.index for record in layout.records.values() if isinstance(record, Vma)
    ]
    return touching(reads=[file.i_mmap.index, *places])


operation("vma_interval_tree_foreach", _foreach_touches, _foreach)
