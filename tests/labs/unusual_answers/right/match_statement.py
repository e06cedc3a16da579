"""match on what a field holds, on a tuple, and on the class of a handle."""

from mmlocks.mm import *


async def prepare(vma, kind):
    match kind, vma:
        case "lock", Vma():
            await vma_start_write(vma)
        case other:
            raise AssertionError(other)


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await prepare(mpnt, "lock")
        tmp = await vm_area_dup(mm, mpnt)
        match await mpnt.anon_vma:
            case None:
                pass
            case AnonVma():
                await copy_page_range(tmp, mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
