"""A pure helper is cached with lru_cache."""

from functools import lru_cache

from mmlocks.mm import *


@lru_cache(maxsize=None)
def pages_between(start, end):
    return tuple(range(page_of(start), page_of(end)))


async def copy_page_range(dst_vma, src_vma):
    await vma_start_write(src_vma)
    if await src_vma.anon_vma is None:
        return
    for page in pages_between(await src_vma.vm_start, await src_vma.vm_end):
        await copy_present_pte(dst_vma, src_vma, page)
