"""Three kernel functions are replaced; dup_mmap reaches copy_page_range through a class, and that reaches the third through the kernel."""

import mmlocks.mm as kernel
from mmlocks.mm import *


async def vma_start_write(vma):
    mm = vma.vm_mm
    seq = await mm.mm_lock_seq
    if await vma.vm_lock_seq == seq:
        return
    await vma.vm_lock.down_write()
    await vma.vm_lock_seq.set(seq)
    await vma.vm_lock.up_write()


async def copy_page_range(dst_vma, src_vma):
    await kernel.vma_start_write(src_vma)
    if await src_vma.anon_vma is not None:
        for page in src_vma.vm_mm.page_table.pages(await src_vma.vm_start, await src_vma.vm_end):
            await copy_present_pte(dst_vma, src_vma, page)


class Copies:
    run = staticmethod(copy_page_range)


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await Copies.run(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
