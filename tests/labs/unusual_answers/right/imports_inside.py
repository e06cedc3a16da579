"""All imports stand inside functions; one is made by importlib, one is relative to the package."""

import importlib


async def share(mm, vma):
    from mmlocks.mm import copy_page_range, vm_area_dup
    from mmlocks.mm.vma_lock import vma_start_write as write_lock

    await write_lock(vma)
    await copy_page_range(await vm_area_dup(mm, vma), vma)


async def dup_mmap(mm, oldmm):
    kernel = importlib.import_module("mmlocks.mm")
    await kernel.mmap_write_lock(oldmm)
    for mpnt in await kernel.for_each_vma(oldmm):
        await share(mm, mpnt)
    await kernel.flush_tlb_mm(oldmm)
    await kernel.mmap_write_unlock(oldmm)
