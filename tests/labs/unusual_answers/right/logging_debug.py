"""A logger with lazily formatted handles, at three levels."""

import logging

from mmlocks.mm import *

log = logging.getLogger("fork")
log.addHandler(logging.NullHandler())
log.propagate = False
log.setLevel(logging.DEBUG)


async def dup_mmap(mm, oldmm):
    log.info("fork of %s into %s", oldmm, mm)
    await mmap_write_lock(oldmm)
    for number, mpnt in enumerate(await for_each_vma(oldmm)):
        await vma_start_write(mpnt)
        tmp = await vm_area_dup(mm, mpnt)
        log.debug("%d: %r -> %r at %#x", number, mpnt, tmp, await mpnt.vm_start)
        await copy_page_range(tmp, mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
    log.warning("done")
