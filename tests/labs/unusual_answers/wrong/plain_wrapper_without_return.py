"""The decorator's plain wrapper forgets to return the coroutine."""

import functools

from mmlocks.mm import *


def announced(function):
    @functools.wraps(function)
    def wrapper(*args):
        print("calling", function.__name__)
        function(*args)

    return wrapper


@announced
async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await vma_start_write(mpnt)
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
