"""dup_mmap returns 0 as the kernel's does, its helpers return error numbers, and all of them are looked at."""

from mmlocks.mm import *

ENOMEM = 12


async def copy_one(mm, vma):
    await vma_start_write(vma)
    tmp = await vm_area_dup(mm, vma)
    if not tmp:
        return -ENOMEM
    await copy_page_range(tmp, vma)
    return 0


async def dup_mmap(mm, oldmm):
    retval = 0
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        retval = await copy_one(mm, mpnt)
        if retval:
            break
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
    return retval
