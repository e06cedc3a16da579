"""The VMAs are copied from the last to the first, sorted by their addresses."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    starts = [(await vma.vm_start, vma) for vma in await for_each_vma(oldmm)]
    for _, mpnt in reversed(sorted(starts, key=lambda pair: pair[0])):
        await vma_start_write(mpnt)
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
