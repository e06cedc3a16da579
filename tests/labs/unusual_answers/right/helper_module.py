"""Half of the fork stands in a module beside the file."""

import helper_for_forks
from helper_for_forks import MmapWriteLocked
from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    async with MmapWriteLocked(oldmm):
        for mpnt in await for_each_vma(oldmm):
            await helper_for_forks.share(mm, mpnt)
        await flush_tlb_mm(oldmm)
