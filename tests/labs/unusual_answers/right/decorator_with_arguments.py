"""A decorator factory is given the kernel functions to call before and after."""

from functools import wraps

from mmlocks.mm import *


def around(before, after, argument):
    def decorate(function):
        @wraps(function)
        async def wrapper(*args, **kwargs):
            await before(args[argument])
            result = await function(*args, **kwargs)
            await after(args[argument])
            return result

        return wrapper

    return decorate


async def nothing(_):
    return None


@around(before=vma_start_write, after=nothing, argument=1)
async def share(mm, vma):
    await copy_page_range(await vm_area_dup(mm, vma), vma)


@around(before=mmap_write_lock, after=mmap_write_unlock, argument=-1)
async def dup_mmap(mm, oldmm):
    for mpnt in await for_each_vma(oldmm):
        await share(mm, mpnt)
    await flush_tlb_mm(oldmm)
