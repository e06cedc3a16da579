"""A KeyError in a helper's dict."""

from mmlocks.mm import *

NAMES = {"stack": 1}


def number_of(vma):
    return NAMES[str(vma)]  # here


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        number_of(mpnt)
        await vma_start_write(mpnt)
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
