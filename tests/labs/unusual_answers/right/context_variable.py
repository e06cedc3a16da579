"""A ContextVar passes the child's address space to a helper, as asyncio code does."""

from contextvars import ContextVar

from mmlocks.mm import *

child = ContextVar("child")


async def share(vma):
    await vma_start_write(vma)
    await copy_page_range(await vm_area_dup(child.get(), vma), vma)


async def dup_mmap(mm, oldmm):
    token = child.set(mm)
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await share(mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
    child.reset(token)
