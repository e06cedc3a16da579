"""while with := over an explicit iterator, and the loop's else."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    vmas = iter(await for_each_vma(oldmm))
    while (mpnt := next(vmas, None)) is not None:
        await vma_start_write(mpnt)
        if tmp := await vm_area_dup(mm, mpnt):
            await copy_page_range(tmp, mpnt)
    else:
        await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
