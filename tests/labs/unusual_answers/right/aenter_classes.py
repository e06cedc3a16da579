"""Classes with __aenter__ and __aexit__, one for mmap_lock and one for page-table locks."""

from mmlocks.mm import *


class MmapWriteLock:
    def __init__(self, mm):
        self.mm = mm

    async def __aenter__(self):
        await mmap_write_lock(self.mm)
        return self

    async def __aexit__(self, kind, problem, trace):
        await mmap_write_unlock(self.mm)
        return False


class PageTableLock:
    def __init__(self, mm, page):
        self.ptl = mm.page_table.ptl[page]

    async def __aenter__(self):
        await self.ptl.lock()

    async def __aexit__(self, *_):
        await self.ptl.unlock()


async def copy_present_pte(dst_vma, src_vma, page):
    from mmlocks.mm.filing import page_try_dup_anon_rmap

    mm, oldmm = dst_vma.vm_mm, src_vma.vm_mm
    async with PageTableLock(oldmm, page):
        entry = await oldmm.page_table.pte[page]
        if entry is None:
            return
        if entry.frame is not mm.memory.zero:
            await entry.frame.refcount.add(1)
        if entry.frame.anonymous:
            await page_try_dup_anon_rmap(entry.frame, dst_vma)
        await ptep_set_wrprotect(oldmm, page, entry)
        await set_pte_at(mm, page, entry.wrprotected())


async def dup_mmap(mm, oldmm):
    async with MmapWriteLock(oldmm):
        for mpnt in await for_each_vma(oldmm):
            await vma_start_write(mpnt)
            await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
        await flush_tlb_mm(oldmm)
