"""range() of fields that were never read."""

from mmlocks.mm import *


async def copy_page_range(dst_vma, src_vma):
    await vma_start_write(src_vma)
    for page in range(page_of(src_vma.vm_start), page_of(src_vma.vm_end)):  # here
        await copy_present_pte(dst_vma, src_vma, page)
