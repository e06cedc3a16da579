"""asyncio.gather over the VMAs."""

import asyncio

from mmlocks.mm import *


async def share(mm, vma):
    await vma_start_write(vma)
    await copy_page_range(await vm_area_dup(mm, vma), vma)


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    await asyncio.gather(*(share(mm, vma) for vma in await for_each_vma(oldmm)))  # here
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
