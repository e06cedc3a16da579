"""A retry loop without a bound, while a plain generator, a map and a dict's view wait for their next turn."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    by_name = {vma.name: vma for vma in await for_each_vma(oldmm)}
    for name, mpnt in by_name.items():
        for lock in (vma.vm_lock for vma in (mpnt,) if vma.name == name):
            while not await lock.try_write():
                pass
            await mpnt.vm_lock_seq.set(await oldmm.mm_lock_seq)
            await lock.up_write()
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
