"""The loop is a list comprehension with awaits in it."""

from mmlocks.mm import *


async def share(mm, vma):
    await vma_start_write(vma)
    tmp = await vm_area_dup(mm, vma)
    await copy_page_range(tmp, vma)
    return tmp


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    copies = [await share(mm, vma) for vma in await for_each_vma(oldmm)]
    assert all(copy.vm_mm is mm for copy in copies)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
