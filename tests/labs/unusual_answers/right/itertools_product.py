"""itertools: each VMA goes through three functions, with repeat, starmap, product and chain."""

from itertools import chain, product, repeat, starmap

from mmlocks.mm import *


async def lock(_, vma):
    await vma_start_write(vma)


async def share(mm, vma):
    await copy_page_range(await vm_area_dup(mm, vma), vma)


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    vmas = await for_each_vma(oldmm)
    for vma, function in product(vmas, (lock, share)):
        await function(mm, vma)
    for step in chain(starmap(flush_tlb_mm, repeat((oldmm,), 1)), [mmap_write_unlock(oldmm)]):
        await step
