"""A global list collects what was done. Nothing reads it."""

from mmlocks.mm import *

EVENTS = []


def note(what, *about):
    EVENTS.append((what, about))


async def dup_mmap(mm, oldmm):
    note("fork", mm, oldmm)
    await mmap_write_lock(oldmm)
    note("locked", oldmm)
    for mpnt in await for_each_vma(oldmm):
        await vma_start_write(mpnt)
        note("locked", mpnt)
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
        note("copied", mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
    note("done")
