"""try/finally gives mmap_lock up, with a return in the middle."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    try:
        try:
            for mpnt in await for_each_vma(oldmm):
                await vma_start_write(mpnt)
                await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
        finally:
            await flush_tlb_mm(oldmm)
        return None
    finally:
        await mmap_write_unlock(oldmm)
