"""fork: duplicate an address space without copying a single page."""

from __future__ import annotations

from mmlocks.errors import ModelError
from mmlocks.machine import Layout, Step, View, operation, together
from mmlocks.machine.step import Footprint, touching
from mmlocks.mm.address import page_of
from mmlocks.mm.mm import Mm
from mmlocks.mm.mmap_lock import mmap_write_lock, mmap_write_unlock
from mmlocks.mm.pagetable import ptep_set_wrprotect, set_pte_at
from mmlocks.mm.tlb import flush_tlb_mm
from mmlocks.mm.vma import Vma
from mmlocks.mm.vma_lock import vma_start_write
from mmlocks.releases import FORK_LOCKS_VMAS


async def dup_mmap(mm: Mm, oldmm: Mm) -> None:
    """Make `mm`, which is empty, a copy of `oldmm` as it is at one moment.

    Kernel:  kernel/fork.c dup_mmap(); VMA lock added by fb49c455323f (6.4.3).
    Locks:   takes oldmm's mmap_lock for writing, and write-locks its VMAs, until the TLBs are flushed.
    Races:   stores through translations that other CPUs have cached, until the flush; faults under the VMA read lock, until
             vma_start_write returns.
    Differs: the child's mmap_lock is not taken, as nobody knows the child yet. No VMA is VM_DONTCOPY or VM_WIPEONFORK.
    """
    await mmap_write_lock(oldmm)
    for _, _, mpnt in await oldmm.mm_mt:
        if FORK_LOCKS_VMAS:
            await vma_start_write(mpnt)
        tmp = await vm_area_dup(mm, mpnt)
        await copy_page_range(tmp, mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)


async def vm_area_dup(mm: Mm, orig: Vma) -> Vma:
    """A copy of a VMA in the new address space, with a lock and an anon_vma of its own, and in its tree.

    Kernel:  kernel/fork.c vm_area_dup(), mm/rmap.c anon_vma_fork(), and the store into the child's tree.
    Locks:   oldmm's mmap_lock for writing.
    Races:   a first fault on `orig`, which gives it an anon_vma.
    Differs: one step, since of all that happens here others can see only that orig.anon_vma is read.
    """
    vma: Vma = await Step("vm_area_dup", (mm, orig))
    return vma


async def copy_page_range(dst_vma: Vma, src_vma: Vma) -> None:
    """Share every page of a VMA with the child, unless it can have no pages that faults could not bring back.

    Kernel:  mm/memory.c copy_page_range(), vma_needs_copy(), down to copy_pte_range().
    Locks:   mmap_lock for writing; takes each page's page-table lock.
    Races:   a first fault that gives src_vma its anon_vma after vm_area_dup has looked for one.
    """
    # The range is protected by mmap_lock, so it does not matter when we read it.
    anon_vma, start, end = await together(src_vma.anon_vma, src_vma.vm_start, src_vma.vm_end)
    if anon_vma is None:
        return
    for page in range(page_of(start), page_of(end)):
        await copy_present_pte(dst_vma.vm_mm, src_vma.vm_mm, page)


async def copy_present_pte(mm: Mm, oldmm: Mm, page: int) -> None:
    """Share one page: parent and child map the same frame, and neither may write to it.

    Kernel:  mm/memory.c copy_present_pte().
    Locks:   the page-table lock of the parent's entry. The child's is not needed: nobody knows the child yet.
    Races:   CPUs that have the writable entry in their TLB go on writing to the frame until they are flushed.
    """
    ptl = oldmm.page_table.ptl[page]
    _, entry = await together(ptl.lock(), oldmm.page_table.pte[page])
    if entry is None:
        await ptl.unlock()
        return
    shared = [] if entry.frame is mm.memory.zero else [entry.frame.refcount.add(1)]
    # Of these, only the parent's entry can be seen by anybody who does not wait for the lock: by the hardware.
    await together(
        *shared,
        ptep_set_wrprotect(oldmm, page, entry),
        set_pte_at(mm, page, entry.wrprotected()),
        ptl.unlock(),
    )


# -- vm_area_dup as one step ------------------------------------------------------------------------------------------


def _dup_touches(layout: Layout, cpu: int, mm: Mm, orig: Vma) -> Footprint:
    copies = [cell.index for vma in mm.spare_vmas for cell in (vma.vm_start, vma.vm_end, vma.anon_vma)]
    return touching(
        reads=[orig.vm_start.index, orig.vm_end.index, orig.anon_vma.index, *copies, mm.mm_mt.index],
        writes=[*copies, mm.mm_mt.index],
    )


def _dup(view: View, cpu: int, mm: Mm, orig: Vma) -> Vma:
    vma = next((vma for vma in mm.spare_vmas if view[vma.vm_end.index] == 0), None)
    if vma is None:
        raise ModelError(f"cpu{cpu} has no VMA left to allocate in {mm}; the scenario must set more aside")
    start, end = view[orig.vm_start.index], view[orig.vm_end.index]
    view[vma.vm_start.index], view[vma.vm_end.index] = start, end
    if view[orig.anon_vma.index] is not None:  # anon_vma_fork: a file of its own, linked to the parent's
        view[vma.anon_vma.index] = vma.own_anon_vma
    view[mm.mm_mt.index] = tuple(
        sorted((*view[mm.mm_mt.index], (start, end, vma)), key=lambda entry: entry[0])
    )
    return vma


def _dup_told(layout: Layout, before: int, after: int, cpu: int, result: Vma, mm: Mm, orig: Vma) -> str:
    return f"duplicates VMA {orig} as {result}"


operation("vm_area_dup", _dup_touches, _dup, _dup_told)
