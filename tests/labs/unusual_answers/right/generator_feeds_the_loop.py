"""A plain generator with a yield from feeds the loop; it is suspended while the loop awaits."""

from mmlocks.mm import *


def numbered(vmas):
    yield from enumerate(vmas, start=1)


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    number = 0
    for number, mpnt in numbered(await for_each_vma(oldmm)):
        await vma_start_write(mpnt)
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
    return number
