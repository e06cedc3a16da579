"""Three decorators on one function, of which one counts, one traces and one flushes."""

import functools

from mmlocks.mm import *


def counted(function):
    @functools.wraps(function)
    async def wrapper(*args):
        wrapper.calls += 1
        return await function(*args)

    wrapper.calls = 0
    return wrapper


def traced(function):
    @functools.wraps(function)
    async def wrapper(*args):
        names = ", ".join(map(repr, args))
        print(f"{function.__name__}({names})")
        return await function(*args)

    return wrapper


def flushing(function):
    @functools.wraps(function)
    async def wrapper(mm, oldmm):
        await mmap_write_lock(oldmm)
        await function(mm, oldmm)
        await flush_tlb_mm(oldmm)
        await mmap_write_unlock(oldmm)

    return wrapper


@counted
@traced
@flushing
async def dup_mmap(mm, oldmm):
    for mpnt in await for_each_vma(oldmm):
        await vma_start_write(mpnt)
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
