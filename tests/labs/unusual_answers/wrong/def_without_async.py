"""dup_mmap is a plain def, so that it cannot await; its calls do nothing."""

from mmlocks.mm import *


def dup_mmap(mm, oldmm):
    mmap_write_lock(oldmm)
    for mpnt in oldmm.vmas:
        vma_start_write(mpnt)
        copy_page_range(vm_area_dup(mm, mpnt), mpnt)
    flush_tlb_mm(oldmm)
    mmap_write_unlock(oldmm)
