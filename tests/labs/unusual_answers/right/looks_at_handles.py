"""hasattr, getattr, vars, dir, type and isinstance on handles, as somebody does who does not know them yet."""

from operator import attrgetter, methodcaller

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    assert hasattr(oldmm, "mmap_lock") and "mmap_lock" in vars(oldmm) and "mmap_lock" in dir(oldmm)
    await getattr(oldmm, "mmap_lock").down_write()
    for mpnt in await for_each_vma(oldmm):
        if type(mpnt).__name__ != "Vma" or not isinstance(mpnt, Vma):
            raise TypeError(mpnt)
        if hasattr(mpnt, "vm_lock_seq"):
            await vma_start_write(mpnt)
        assert not hasattr(mpnt, "vm_locked")
        assert str(mpnt) == attrgetter("name")(mpnt) == f"{mpnt}"
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
    await flush_tlb_mm(oldmm)
    await vma_end_write_all(oldmm)
    await methodcaller("up_write")(oldmm.mmap_lock)
