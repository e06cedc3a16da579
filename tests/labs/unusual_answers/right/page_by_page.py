"""dup_mmap copies the pages itself, with the kernel's function for one page and a computed range."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await vma_start_write(mpnt)
        tmp = await vm_area_dup(mm, mpnt)
        start, end = await mpnt.vm_start, await mpnt.vm_end
        if await mpnt.anon_vma is None:
            continue
        for address in range(start, end, PAGE_SIZE):
            await copy_present_pte(tmp, mpnt, address // PAGE_SIZE)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
