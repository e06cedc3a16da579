"""dup_mmap and copy_page_range are both replaced, and the first calls the second directly."""

from mmlocks.mm import *


async def copy_page_range(dst_vma, src_vma):
    await vma_start_write(src_vma)
    anon_vma = await src_vma.anon_vma
    if not anon_vma:
        return
    start, end = page_of(await src_vma.vm_start), page_of(await src_vma.vm_end)
    page = start
    while page < end:
        await copy_present_pte(dst_vma, src_vma, page)
        page += 1


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
