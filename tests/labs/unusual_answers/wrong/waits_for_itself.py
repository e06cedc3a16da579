"""mmap_lock is taken twice, the second time in a helper."""

from mmlocks.mm import *


async def share(mm, vma):
    await mmap_write_lock(vma.vm_mm)
    await vma_start_write(vma)
    await copy_page_range(await vm_area_dup(mm, vma), vma)
    await mmap_write_unlock(vma.vm_mm)


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await share(mm, mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
