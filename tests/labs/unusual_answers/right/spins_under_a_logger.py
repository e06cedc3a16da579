"""A retry loop without a bound, in a method of an object that holds a logger, a lock of Python's and a compiled pattern. (Not proved: see the test.)"""

import logging
import re
import threading

from mmlocks.mm import *


class Fork:
    def __init__(self):
        self.log = logging.getLogger("quiet fork")
        self.log.propagate = False
        self.log.addHandler(logging.NullHandler())
        self.guard = threading.Lock()
        self.pattern = re.compile("heap|stack")

    async def lock(self, vma):
        while not await vma.vm_lock.try_write():
            self.log.debug("busy")
        await vma.vm_lock_seq.set(await vma.vm_mm.mm_lock_seq)
        await vma.vm_lock.up_write()


fork_of_mine = Fork()


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await fork_of_mine.lock(mpnt)
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
