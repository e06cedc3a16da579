"""A recursion that forgets to make its list shorter."""

from mmlocks.mm import *


async def share_all(mm, vmas):
    if vmas:
        await vma_start_write(vmas[0])
        await share_all(mm, vmas)  # here


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    await share_all(mm, await for_each_vma(oldmm))
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
