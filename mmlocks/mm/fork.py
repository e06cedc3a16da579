"""fork: duplicate an address space without copying a single page."""

from __future__ import annotations

from mmlocks.machine import together
from mmlocks.mm.filing import page_try_dup_anon_rmap
from mmlocks.mm.maple import for_each_vma
from mmlocks.mm.mm_types import Mm, Vma
from mmlocks.mm.mmap_lock import mmap_write_lock, mmap_write_unlock
from mmlocks.mm.pagetable import ptep_set_wrprotect, set_pte_at
from mmlocks.mm.tlb import flush_tlb_mm
from mmlocks.mm.vma_dup import vm_area_dup
from mmlocks.mm.vma_lock import vma_start_write
from mmlocks.releases import FORK_LOCKS_ALL_FIRST, FORK_LOCKS_VMAS


async def dup_mmap(mm: Mm, oldmm: Mm) -> None:
    """Make `mm`, which is empty, a copy of `oldmm` as it is at one moment.

    Kernel:  kernel/fork.c dup_mmap(); VMA lock added by fb49c455323f (6.4.3).
    Locks:   takes oldmm's mmap_lock for writing, and write-locks its VMAs, until the TLBs are
             flushed.
    Races:   stores through translations that other CPUs have cached, until the flush; faults under
             the VMA read lock, until vma_start_write returns.
    Differs: the child's mmap_lock is not taken, as the child is not known to others yet; nor is
             dup_mmap_sem, which keeps out uprobes. No VMA is VM_DONTCOPY or VM_WIPEONFORK.
    """
    await mmap_write_lock(oldmm)
    if FORK_LOCKS_ALL_FIRST:
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
    for mpnt in await for_each_vma(oldmm):
        if FORK_LOCKS_VMAS:
            await vma_start_write(mpnt)
        tmp = await vm_area_dup(mm, mpnt)
        await copy_page_range(tmp, mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)


async def copy_page_range(dst_vma: Vma, src_vma: Vma) -> None:
    """Share every page of a VMA with the child, unless faults can bring all its pages back.

    Kernel:  mm/memory.c copy_page_range(), vma_needs_copy(), down to copy_pte_range().
    Locks:   mmap_lock for writing; takes each page's page-table lock.
    Races:   a first fault that gives src_vma its anon_vma after vm_area_dup has looked for one.
    Differs: write_protect_seq is not counted up, as pages are never pinned without a lock here
             (fast GUP).
    """
    # mmap_lock protects the range, so it does not matter when we read it.
    anon_vma, start, end = await together(src_vma.anon_vma, src_vma.vm_start, src_vma.vm_end)
    if anon_vma is None:
        return
    for page in src_vma.vm_mm.page_table.pages(start, end):
        await copy_present_pte(dst_vma, src_vma, page)


async def copy_present_pte(dst_vma: Vma, src_vma: Vma, page: int) -> None:
    """Share one page: parent and child map the same frame, and neither may write to it.

    Kernel:  mm/memory.c copy_present_pte().
    Locks:   the page-table lock of the parent's entry.
    Races:   CPUs with the writable entry in their TLB go on writing to the frame until the flush.
    Differs: the child's page-table lock is not taken. Only a walk from a file knows the child, and
             it visits the parent first.
    """
    mm, oldmm = dst_vma.vm_mm, src_vma.vm_mm
    ptl = oldmm.page_table.ptl[page]
    _, entry = await together(ptl.lock(), oldmm.page_table.pte[page])
    if entry is None:
        await ptl.unlock()
        return
    shared = [] if entry.frame is mm.memory.zero else [entry.frame.refcount.add(1)]
    if entry.frame.anonymous:
        shared.append(page_try_dup_anon_rmap(entry.frame, dst_vma))
    # One step: only the hardware sees any of this without the lock, and only the parent's entry.
    await together(
        *shared,
        ptep_set_wrprotect(oldmm, page, entry),
        set_pte_at(mm, page, entry.wrprotected()),
        ptl.unlock(),
    )
