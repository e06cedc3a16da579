"""The reference address space: Linux's functions under their Linux names, written once for every release.

Reading order: address, frames, pagetable, tlb, vma, mm, mmap_lock, vma_lock, rmap, fault, cow, fork, user, kernel.
"""

import mmlocks.mm.narration  # noqa: F401  so that steps can be told
from mmlocks.machine import together
from mmlocks.mm.address import PAGE_SIZE, page_of, slot_of
from mmlocks.mm.cow import do_wp_page, wp_page_copy
from mmlocks.mm.fault import (
    SegmentationFault,
    do_anonymous_page,
    do_user_addr_fault,
    handle_mm_fault,
)
from mmlocks.mm.filemap import FAULT_FLAG_VMA_LOCK, FAULT_FLAG_WRITE
from mmlocks.mm.fork import copy_page_range, copy_present_pte, dup_mmap
from mmlocks.mm.frames import Frame, Memory, folio_get, folio_put, vma_alloc_folio
from mmlocks.mm.kernel import Kernel
from mmlocks.mm.maple import find_vma, for_each_vma
from mmlocks.mm.mm import Mm
from mmlocks.mm.mmap_lock import (
    mmap_read_lock,
    mmap_read_unlock,
    mmap_write_downgrade,
    mmap_write_lock,
    mmap_write_unlock,
)
from mmlocks.mm.pagetable import Pte, ptep_set_wrprotect, set_pte_at
from mmlocks.mm.rmap import AnonVma, anon_vma_prepare
from mmlocks.mm.stubs import put_stubs
from mmlocks.mm.tlb import flush_tlb_mm, flush_tlb_page
from mmlocks.mm.user import fetch_add, fork, load, store
from mmlocks.mm.vma import Vma
from mmlocks.mm.vma_dup import vm_area_dup
from mmlocks.mm.vma_lock import (
    lock_vma_under_rcu,
    vma_end_read,
    vma_end_write_all,
    vma_start_read,
    vma_start_write,
)

put_stubs()

__all__ = [
    "FAULT_FLAG_VMA_LOCK",
    "FAULT_FLAG_WRITE",
    "PAGE_SIZE",
    "AnonVma",
    "Frame",
    "Kernel",
    "Memory",
    "Mm",
    "Pte",
    "SegmentationFault",
    "Vma",
    "anon_vma_prepare",
    "copy_page_range",
    "copy_present_pte",
    "do_anonymous_page",
    "do_user_addr_fault",
    "do_wp_page",
    "dup_mmap",
    "fetch_add",
    "find_vma",
    "flush_tlb_mm",
    "flush_tlb_page",
    "folio_get",
    "folio_put",
    "for_each_vma",
    "fork",
    "handle_mm_fault",
    "load",
    "lock_vma_under_rcu",
    "mmap_read_lock",
    "mmap_read_unlock",
    "mmap_write_downgrade",
    "mmap_write_lock",
    "mmap_write_unlock",
    "page_of",
    "ptep_set_wrprotect",
    "set_pte_at",
    "slot_of",
    "store",
    "together",
    "vm_area_dup",
    "vma_alloc_folio",
    "vma_end_read",
    "vma_end_write_all",
    "vma_start_read",
    "vma_start_write",
    "wp_page_copy",
]
