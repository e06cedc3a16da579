"""The VMAs are found one after the other with find_vma, as old kernels walked their list."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    address = 0
    while (mpnt := await find_vma(oldmm, address)) is not None:
        await vma_start_write(mpnt)
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
        address = await mpnt.vm_end
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
