"""`except Exception: pass` around the copying, which fails."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        try:
            await vma_start_write(mpnt)
            tmp = vm_area_dup(mm, mpnt)
            await copy_page_range(tmp, mpnt)  # here
        except Exception:
            pass
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
