"""dup_mmap has more parameters than the kernel passes, all with defaults."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm, /, lock=vma_start_write, *, flush=flush_tlb_mm, verbose=False):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await lock(mpnt)
        tmp = await vm_area_dup(mm, mpnt)
        await copy_page_range(tmp, mpnt)
        if verbose:
            print(mpnt, "->", tmp)
    await flush(oldmm)
    await mmap_write_unlock(oldmm)
