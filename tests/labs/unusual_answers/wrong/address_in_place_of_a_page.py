"""copy_present_pte is given an address where it takes a page."""

from mmlocks.mm import *


async def copy_page_range(dst_vma, src_vma):
    await vma_start_write(src_vma)
    if await src_vma.anon_vma is None:
        return
    for address in range(await src_vma.vm_start, await src_vma.vm_end, PAGE_SIZE):
        await copy_present_pte(dst_vma, src_vma, address)  # here
