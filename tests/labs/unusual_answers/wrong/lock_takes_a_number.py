"""The page-table lock is looked up by an address, not by a page."""

from mmlocks.mm import *


async def copy_page_range(dst_vma, src_vma):
    await vma_start_write(src_vma)
    start = await src_vma.vm_start
    async_lock = src_vma.vm_mm.page_table.ptl[start]  # here
    await async_lock.lock()
    await async_lock.unlock()
