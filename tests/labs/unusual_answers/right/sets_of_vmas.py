"""Sets and dicts of VMAs: what is done is looked up in a set, and the order comes from the kernel's list."""

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    vmas = await for_each_vma(oldmm)
    todo, done = set(vmas), set()
    for mpnt in vmas:
        assert mpnt in todo and mpnt not in done
        await vma_start_write(mpnt)
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
        todo -= {mpnt}
        done |= {mpnt}
    assert not todo and done == set(vmas)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
