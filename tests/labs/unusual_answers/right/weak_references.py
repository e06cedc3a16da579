"""A WeakKeyDictionary of VMAs and a weakref to the parent."""

import weakref

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    parent, copies = weakref.ref(oldmm), weakref.WeakKeyDictionary()
    await mmap_write_lock(parent())
    for mpnt in await for_each_vma(parent()):
        await vma_start_write(mpnt)
        copies[mpnt] = await vm_area_dup(mm, mpnt)
        await copy_page_range(copies[mpnt], mpnt)
    await flush_tlb_mm(parent())
    await mmap_write_unlock(parent())
