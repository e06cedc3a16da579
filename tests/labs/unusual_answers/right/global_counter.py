"""Global counters are counted up, and a dict of counters too. Nothing reads them."""

from collections import Counter

from mmlocks.mm import *

forks = 0
seen = Counter()


async def dup_mmap(mm, oldmm):
    global forks
    forks += 1
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await vma_start_write(mpnt)
        seen[mpnt] += 1
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
