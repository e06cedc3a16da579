"""A generator made awaitable by types.coroutine."""

import types

from mmlocks.mm import *


@types.coroutine
def share(mm, vma):
    yield from vma_start_write(vma)
    tmp = yield from vm_area_dup(mm, vma)
    yield from copy_page_range(tmp, vma)


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await share(mm, mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
