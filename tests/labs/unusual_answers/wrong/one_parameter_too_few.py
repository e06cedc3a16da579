"""dup_mmap takes the parent alone."""

from mmlocks.mm import *


async def dup_mmap(oldmm):
    await mmap_write_lock(oldmm)
    await mmap_write_unlock(oldmm)
