"""A decorator that is applied to the imported kernel function itself, without @."""

import functools

from mmlocks.mm import copy_page_range, vma_start_write


def locking_source(function):
    @functools.wraps(function)
    async def wrapper(dst_vma, src_vma):
        await vma_start_write(src_vma)
        await function(dst_vma, src_vma)

    return wrapper


copy_page_range = locking_source(copy_page_range)
