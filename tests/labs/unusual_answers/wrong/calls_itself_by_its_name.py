"""The original was to be called, and its name is the replacement's by then."""

from mmlocks.mm import copy_page_range, vma_start_write


async def copy_page_range(dst_vma, src_vma):
    await vma_start_write(src_vma)
    await copy_page_range(dst_vma, src_vma)  # here
