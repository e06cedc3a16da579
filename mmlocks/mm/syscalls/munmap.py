"""munmap: take a range of addresses away, with all that lies there."""

from __future__ import annotations

from mmlocks.machine import together
from mmlocks.mm.address import PAGE_SIZE, page_align
from mmlocks.mm.errnos import EINVAL, ENOMEM
from mmlocks.mm.frames import folio_put
from mmlocks.mm.maple import find_vma, for_each_vma, vma_iter_store
from mmlocks.mm.mm_types import File, Frame, Mm, Vma
from mmlocks.mm.mmap_lock import (
    mmap_read_unlock,
    mmap_write_downgrade,
    mmap_write_lock,
    mmap_write_unlock,
)
from mmlocks.mm.pagecache import unlink_file_vma
from mmlocks.mm.pagetable import set_pte_at
from mmlocks.mm.rmap import unlink_anon_vmas
from mmlocks.mm.syscalls.split import split_in_two
from mmlocks.mm.tlb import flush_tlb_pages
from mmlocks.mm.vm_flags import VM_GROWSDOWN
from mmlocks.mm.vma import vm_area_free
from mmlocks.mm.vma_lock import vma_start_write
from mmlocks.releases import MUNMAP_ALWAYS_DOWNGRADES


async def munmap(mm: Mm, start: int, length: int) -> int:
    """The system call. Returns 0, or minus an errno (mm/mmap.c __vm_munmap).

    Returns: -EINVAL for a start within a page, a length of 0, or a range beyond the user's
             addresses; -ENOMEM if a VMA must be split and there are too many VMAs already.
    """
    await mmap_write_lock(mm)
    gone = await do_vmi_munmap(mm, start, length)
    if isinstance(gone, int):
        await mmap_write_unlock(mm)
        return gone
    if not MUNMAP_ALWAYS_DOWNGRADES:
        # Below a stack, mmap_lock is kept for writing: no stack grows into the hole while its
        # pages are freed.
        above = await find_vma(mm, start)
        if above is not None and await above.vm_flags & VM_GROWSDOWN:
            await unmap_region(mm, gone)
            await mmap_write_unlock(mm)
            return 0
    # The VMAs are out of the tree, so faults elsewhere may go on while their pages are freed.
    # *This unlocks them*: only `detached` keeps out a reader that found one before.
    await mmap_write_downgrade(mm)
    await unmap_region(mm, gone)
    await mmap_read_unlock(mm)
    return 0


async def do_munmap(mm: Mm, start: int, length: int) -> int:
    """The same for a caller that goes on to change the address space. Returns 0, or minus an errno.

    Locks:   mmap_lock for writing, also on return.
    """
    gone = await do_vmi_munmap(mm, start, length)
    if isinstance(gone, int):
        return gone
    await unmap_region(mm, gone)
    return 0


async def do_vmi_munmap(mm: Mm, start: int, length: int) -> tuple[Vma, ...] | int:
    """Cut a range out of the tree.

    Returns the VMAs that were cut out, which still have their pages, or minus an errno.

    Kernel:  mm/mmap.c do_vmi_munmap(), do_vmi_align_munmap().
    Locks:   mmap_lock for writing; write-locks every VMA that changes.
    Races:   faults under a VMA lock, and RCU readers that have found a VMA and not locked it yet.
    """
    end = start + page_align(length)
    if start % PAGE_SIZE or end == start or end > mm.limits.task_size:
        return -EINVAL
    vmas = await for_each_vma(mm, start, end)
    if not vmas:
        return ()
    first, last = vmas[0], vmas[-1]
    low = await first.vm_start
    high = await last.vm_end
    if low < start:
        if high > end and first is last and await mm.map_count >= mm.limits.max_map_count:
            return -ENOMEM
        await split_in_two(mm, first, start, below=True)
    if high > end:
        await split_in_two(mm, last, end, below=False)
    for vma in vmas:
        await vma_start_write(vma)
        await vma.detached.set(True)
    await vma_iter_store(mm, start, end, None)
    await mm.map_count.add(-len(vmas))
    return vmas


async def unmap_region(mm: Mm, gone: tuple[Vma, ...]) -> None:
    """Free the pages of VMAs that are out of the tree, and the VMAs (mm/mmap.c).

    Locks:   mmap_lock, in either mode.
    """
    files: tuple[File | None, ...] = ()
    for vma in gone:
        # It is detached, so it does not change any more.
        start, end, file = await together(vma.vm_start, vma.vm_end, vma.vm_file)
        files = (*files, file)
        await zap_page_range(mm, start, end)
    for vma, file in zip(gone, files, strict=True):
        await unlink_anon_vmas(vma)
        if file is not None:
            await unlink_file_vma(file, vma)
        await vm_area_free(vma)


async def zap_page_range(mm: Mm, start: int, end: int) -> None:
    """Take all pages of a range out of the page table, and free the frames that are unused then.

    Kernel:  mm/memory.c unmap_vmas(), zap_pte_range(), and the gathering of mm/mmu_gather.c.
    Locks:   mmap_lock in either mode; takes each page's page-table lock.
    Races:   CPUs with an entry in their TLB go on using the frame, so it is freed only after the
             flush.
    """
    table = mm.page_table
    gathered: tuple[Frame, ...] = ()
    pages: tuple[int, ...] = ()
    for page in table.pages(start, end):
        _, entry = await together(table.ptl[page].lock(), table.pte[page])
        if entry is None:
            await table.ptl[page].unlock()
            continue
        await together(set_pte_at(mm, page, None), table.ptl[page].unlock())
        gathered, pages = (*gathered, entry.frame), (*pages, page)
    if pages:
        await flush_tlb_pages(mm, pages)
    for frame in gathered:
        await folio_put(mm.memory, frame)
