"""An exception of the answer's own leaves the loop, and another is raised from it and caught."""

from mmlocks.mm import *


class NoMoreVmas(Exception):
    def __init__(self, count):
        super().__init__(count)
        self.count = count


async def share(mm, vmas, number):
    try:
        vma = vmas[number]
    except IndexError as problem:
        raise NoMoreVmas(number) from problem
    await vma_start_write(vma)
    await copy_page_range(await vm_area_dup(mm, vma), vma)


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    vmas, number = await for_each_vma(oldmm), 0
    try:
        while True:
            await share(mm, vmas, number)
            number += 1
    except NoMoreVmas as end:
        assert end.count == len(vmas)
        await flush_tlb_mm(oldmm)
    finally:
        await mmap_write_unlock(oldmm)
