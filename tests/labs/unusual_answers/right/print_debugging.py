"""print with f-strings of handles, fields and page-table entries, also in the middle of the copying."""

from mmlocks.mm import *
from mmlocks.mm.filing import page_try_dup_anon_rmap


async def copy_present_pte(dst_vma, src_vma, page):
    mm, oldmm = dst_vma.vm_mm, src_vma.vm_mm
    ptl = oldmm.page_table.ptl[page]
    await ptl.lock()
    entry = await oldmm.page_table.pte[page]
    print(f"P{page}: {entry} under {ptl!r}; {dst_vma=} {src_vma.vm_start=}")
    if entry is not None:
        if entry.frame is not mm.memory.zero:
            await entry.frame.refcount.add(1)
        if entry.frame.anonymous:
            await page_try_dup_anon_rmap(entry.frame, dst_vma)
        await ptep_set_wrprotect(oldmm, page, entry)
        await set_pte_at(mm, page, entry.wrprotected())
    await ptl.unlock()


async def dup_mmap(mm, oldmm):
    print(f"fork: {oldmm!s:>10} -> {mm}")
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await vma_start_write(mpnt)
        print(f"  {mpnt}: seq {await mpnt.vm_lock_seq}, locked at {await oldmm.mm_lock_seq}")
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
