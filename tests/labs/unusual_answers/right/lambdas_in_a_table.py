"""A table of lambdas that return coroutines is walked for each VMA."""

from mmlocks.mm import *

STEPS = (
    lambda mm, vma, tmp: vma_start_write(vma),
    lambda mm, vma, tmp: vm_area_dup(mm, vma),
    lambda mm, vma, tmp: copy_page_range(tmp, vma),
)


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        tmp = None
        for step in STEPS:
            tmp = await step(mm, mpnt, tmp) or tmp
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
