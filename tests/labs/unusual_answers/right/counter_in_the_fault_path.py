"""vma_start_read, which all CPUs run, counts its calls in a global variable and in an attribute of itself. Nothing reads these."""

from mmlocks.mm import *

tried = 0


async def vma_start_read(vma):
    global tried
    tried += 1
    vma_start_read.calls += 1
    mm = vma.vm_mm
    if await vma.vm_lock_seq == await mm.mm_lock_seq:
        return False
    if not await vma.vm_lock.try_read():
        return False
    if await vma.vm_lock_seq == await mm.mm_lock_seq:
        await vma.vm_lock.up_read()
        return False
    return True


vma_start_read.calls = 0


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await vma_start_write(mpnt)
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
