"""A `yield` in dup_mmap makes it a generator."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        yield mpnt
    await mmap_write_unlock(oldmm)
