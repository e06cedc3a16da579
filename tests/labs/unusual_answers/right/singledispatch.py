"""functools.singledispatch chooses the lock by the kind of handle."""

from functools import singledispatch

from mmlocks.mm import *


@singledispatch
async def lock(thing):
    raise TypeError(f"cannot lock {thing!r}")


@lock.register
async def _(mm: Mm):
    await mmap_write_lock(mm)


@lock.register(Vma)
async def _(vma):
    await vma_start_write(vma)


async def dup_mmap(mm, oldmm):
    await lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await lock(mpnt)
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
