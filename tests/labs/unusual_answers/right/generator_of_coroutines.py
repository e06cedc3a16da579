"""A plain generator yields one coroutine after the other, and a loop awaits what it yields."""

from mmlocks.mm import *


def work(mm, oldmm, vmas):
    for vma in vmas:
        yield vma_start_write(vma)
        tmp = yield vm_area_dup(mm, vma)
        yield copy_page_range(tmp, vma)
    yield flush_tlb_mm(oldmm)


async def drive(generator):
    result = None
    while True:
        try:
            awaitable = generator.send(result)
        except StopIteration:
            return
        result = await awaitable


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    await drive(work(mm, oldmm, await for_each_vma(oldmm)))
    await mmap_write_unlock(oldmm)
