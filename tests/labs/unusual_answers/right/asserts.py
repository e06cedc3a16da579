"""Many asserts, on handles, fields and the child."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    assert mm is not oldmm, "fork needs an address space of its own"
    await mmap_write_lock(oldmm)
    vmas = await for_each_vma(oldmm)
    assert isinstance(vmas, (list, tuple))
    for mpnt in vmas:
        await vma_start_write(mpnt)
        assert await mpnt.vm_lock_seq == await oldmm.mm_lock_seq, f"{mpnt} is not locked"
        tmp = await vm_area_dup(mm, mpnt)
        assert await tmp.vm_start == await mpnt.vm_start and tmp is not mpnt
        await copy_page_range(tmp, mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
