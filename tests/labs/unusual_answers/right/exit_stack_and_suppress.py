"""A plain ExitStack, contextlib.suppress and nullcontext around awaits."""

from contextlib import ExitStack, nullcontext, suppress

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    finished = []
    with ExitStack() as stack, nullcontext(oldmm) as parent:
        stack.callback(finished.append, True)
        await mmap_write_lock(parent)
        vmas = list(await for_each_vma(parent))
        with suppress(IndexError):
            while True:
                mpnt = vmas.pop(0)
                await vma_start_write(mpnt)
                await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
        await flush_tlb_mm(parent)
        await mmap_write_unlock(parent)
    assert finished == [True]
