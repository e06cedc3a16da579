"""dup_mmap takes *args and passes them on."""

from mmlocks.mm import *


async def each(mm, vma):
    await vma_start_write(vma)
    await copy_page_range(await vm_area_dup(mm, vma), vma)


async def dup_mmap(*args, **kwargs):
    mm, oldmm, *rest = args
    assert not rest
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await each(*args[:1], mpnt, **kwargs)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
