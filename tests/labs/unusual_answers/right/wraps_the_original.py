"""copy_page_range is replaced by a function that locks, and then calls the one that it replaces."""

from mmlocks.mm import copy_page_range as original
from mmlocks.mm import vma_start_write


async def copy_page_range(dst_vma, src_vma):
    await vma_start_write(src_vma)
    return await original(dst_vma, src_vma)
