"""A recursion without end in a plain function."""

from mmlocks.mm import *


def length(vmas):
    return 1 + length(vmas[1:])


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    assert length(await for_each_vma(oldmm))
    await mmap_write_unlock(oldmm)
