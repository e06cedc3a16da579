"""A function made inside dup_mmap closes over both address spaces, and counts in a nonlocal variable."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    copied = 0

    async def share(vma):
        nonlocal copied
        await vma_start_write(vma)
        await copy_page_range(await vm_area_dup(mm, vma), vma)
        copied += 1

    async def finish():
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)

    await mmap_write_lock(oldmm)
    vmas = await for_each_vma(oldmm)
    for vma in vmas:
        await share(vma)
    assert copied == len(vmas)
    await finish()
