"""copy_present_pte locks the VMA, once for every page, before it calls the one that it replaces through its module."""

import mmlocks.mm


async def copy_present_pte(dst_vma, src_vma, page):
    await mmlocks.mm.vma_start_write(src_vma)
    await mmlocks.mm.copy_present_pte(dst_vma, src_vma, page)
