"""functools.partial of kernel functions, made before they are needed."""

from functools import partial

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    into_child = partial(vm_area_dup, mm)
    begin, end = (partial(function, oldmm) for function in (mmap_write_lock, mmap_write_unlock))
    await begin()
    for mpnt in await partial(for_each_vma, mm=oldmm)():
        await vma_start_write(mpnt)
        copy = partial(copy_page_range, src_vma=mpnt)
        await copy(dst_vma=await into_child(mpnt))
    await flush_tlb_mm(oldmm)
    await end()
