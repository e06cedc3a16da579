"""A bounded retry loop: three times try_write, and then down_write after all."""

from mmlocks.mm import *


async def write_lock(vma, tries=3):
    for _ in range(tries):
        if await vma.vm_lock.try_write():
            break
    else:
        await vma.vm_lock.down_write()
    await vma.vm_lock_seq.set(await vma.vm_mm.mm_lock_seq)
    await vma.vm_lock.up_write()


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await write_lock(mpnt)
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
