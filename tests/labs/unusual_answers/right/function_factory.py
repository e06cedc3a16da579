"""A factory returns the function that locks and copies, with the lock as a free variable."""

from mmlocks.mm import *


def copier(lock, duplicate=vm_area_dup, copy=copy_page_range):
    async def share(mm, vma):
        await lock(vma)
        await copy(await duplicate(mm, vma), vma)

    return share


share = copier(vma_start_write)


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await share(mm, mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
