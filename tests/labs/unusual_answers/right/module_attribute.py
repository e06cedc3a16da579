"""Nothing is imported by name: all is reached through the module's attributes."""

import mmlocks.mm as mm_api
import mmlocks.mm.vma_lock


async def dup_mmap(mm, oldmm):
    await mm_api.mmap_write_lock(oldmm)
    for mpnt in await mm_api.for_each_vma(oldmm):
        await mmlocks.mm.vma_lock.vma_start_write(mpnt)
        tmp = await mm_api.vm_area_dup(mm, mpnt)
        await mm_api.copy_page_range(tmp, mpnt)
    await mm_api.flush_tlb_mm(oldmm)
    await mm_api.mmap_write_unlock(oldmm)
