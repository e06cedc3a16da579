"""copy_present_pte takes the entry apart with a class pattern."""

from mmlocks.mm import *
from mmlocks.mm.filing import page_try_dup_anon_rmap


async def copy_present_pte(dst_vma, src_vma, page):
    await vma_start_write(src_vma)
    mm, oldmm = dst_vma.vm_mm, src_vma.vm_mm
    lock = oldmm.page_table.ptl[page]
    await lock.lock()
    match await oldmm.page_table.pte[page]:
        case Pte(frame=frame) as entry:
            if frame != mm.memory.zero:
                await frame.refcount.add(1)
            if frame.anonymous:
                await page_try_dup_anon_rmap(frame, dst_vma)
            await ptep_set_wrprotect(oldmm, page, entry)
            await set_pte_at(mm, page, Pte(frame, write=False, none=entry.none))
    await lock.unlock()
