"""A list, and then a handle, is awaited."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await oldmm.vmas:  # here
        await vma_start_write(mpnt)
    await mmap_write_unlock(oldmm)
