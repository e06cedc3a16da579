"""A retry loop without a bound that notes every try in a list and a Counter. Nothing reads them."""

from collections import Counter, deque

from mmlocks.mm import *

TRIES = Counter()
LATEST = deque(maxlen=100)


class Log:
    def __init__(self):
        self.lines = []

    def __call__(self, *words):
        self.lines.append(" ".join(map(str, words)))


log = Log()


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        while not await mpnt.vm_lock.try_write():
            TRIES[mpnt] += 1
            LATEST.append(mpnt)
            log("busy", mpnt)
        await mpnt.vm_lock_seq.set(await oldmm.mm_lock_seq)
        await mpnt.vm_lock.up_write()
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
