"""A deque of work that grows while it is worked off, and an index loop."""

from collections import deque

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    vmas = await for_each_vma(oldmm)
    work = deque((0, vmas[i]) for i in range(len(vmas)))
    copies = {}
    while work:
        stage, vma = work.popleft()
        if stage == 0:
            await vma_start_write(vma)
            work.appendleft((1, vma))
        elif stage == 1:
            copies[vma.name] = await vm_area_dup(mm, vma)
            work.appendleft((2, vma))
        else:
            await copy_page_range(copies[vma.name], vma)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
