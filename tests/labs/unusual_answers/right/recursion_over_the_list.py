"""Recursion over the list of VMAs instead of a loop."""

from mmlocks.mm import *


async def share_all(mm, vmas):
    if not vmas:
        return 0
    first, *rest = vmas
    await vma_start_write(first)
    await copy_page_range(await vm_area_dup(mm, first), first)
    return 1 + await share_all(mm, rest)


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    vmas = await for_each_vma(oldmm)
    assert await share_all(mm, vmas) == len(vmas)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
