"""The reference address space: Linux's functions under their Linux names, for every release.

Reading order: fork and fault first; ARCHITECTURE.md has the rest. What a name means stands in
mm_types, what a step does in `steps`.
"""

import mmlocks.mm.narration  # noqa: F401  so that steps can be told
from mmlocks.machine import together
from mmlocks.mm.address import PAGE_SIZE, page_align, page_of, slot_of
from mmlocks.mm.cow import do_wp_page, wp_page_copy
from mmlocks.mm.errnos import EACCES, EEXIST, EFAULT, EINVAL, ENOMEM, EPERM
from mmlocks.mm.fault import (
    SegmentationFault,
    do_anonymous_page,
    do_user_addr_fault,
    handle_mm_fault,
)
from mmlocks.mm.filemap import (
    do_fault,
    do_read_fault,
    finish_fault,
    vmf_anon_prepare,
    wp_page_shared,
)
from mmlocks.mm.filing import folio_add_new_anon_rmap, linear_page_index, page_try_dup_anon_rmap
from mmlocks.mm.fork import copy_page_range, copy_present_pte, dup_mmap
from mmlocks.mm.frames import folio_get, folio_put, put_step, vma_alloc_folio, vma_alloc_folio_step
from mmlocks.mm.kernel import Kernel
from mmlocks.mm.maple import (
    _build,
    _joined,
    _replace_below,
    _replace_root,
    _rewrite,
    find_vma,
    find_vma_before,
    for_each_vma,
    for_each_vma_step,
    mas_build,
    mas_descend,
    mas_read,
    mas_retire,
    mas_start,
    mas_walk,
    mas_write,
    spliced,
    vma_iter_store,
)
from mmlocks.mm.maple_node import END, FEWEST, SLOTS, Level, MapleNode, Ranges
from mmlocks.mm.mm_types import AnonVma, Fields, File, Frame, Memory, Mm, Pte, Vma
from mmlocks.mm.mmap_lock import (
    mmap_read_lock,
    mmap_read_unlock,
    mmap_write_downgrade,
    mmap_write_lock,
    mmap_write_unlock,
)
from mmlocks.mm.pagecache import (
    i_mmap_lock_write,
    i_mmap_unlock_write,
    page_mkwrite,
    shmem_zero_setup,
    shmem_zero_setup_step,
    unlink_file_vma,
    vma_link_file,
    vma_set_page_prot,
    vma_unlink_file,
    writable_from_the_start,
)
from mmlocks.mm.pagetable import ptep_set_wrprotect, set_pte_at
from mmlocks.mm.reclaim import (
    rmap_walk_file,
    try_to_free_pages,
    try_to_unmap_one,
    vma_interval_tree_foreach,
)
from mmlocks.mm.rmap import (
    anon_vma_alloc,
    anon_vma_alloc_step,
    anon_vma_clone,
    anon_vma_fork,
    anon_vma_prepare,
    find_mergeable_anon_vma,
    unlink_anon_vmas,
)
from mmlocks.mm.speculative import (
    Pvma,
    add_new_anon_rmap,
    copy_vma_under_rcu,
    do_speculative_fault,
    mmap_seq_read_check,
    pte_map_lock,
    speculative_anonymous_page,
    speculative_wp_page,
)
from mmlocks.mm.stack import expand_downwards, expand_stack, lock_mm_and_find_vma
from mmlocks.mm.stubs import put_stubs
from mmlocks.mm.syscalls.brk import _move_brk, brk
from mmlocks.mm.syscalls.madvise import MADV_DONTNEED, madvise
from mmlocks.mm.syscalls.merge import (
    Proposal,
    _alike,
    commit_merge,
    goes_after,
    goes_before,
    may_share,
    vma_merge,
)
from mmlocks.mm.syscalls.mmap import (
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_GROWSDOWN,
    MAP_NORESERVE,
    MAP_PRIVATE,
    MAP_SHARED,
    accountable,
    do_mmap,
    mmap,
    mmap_region,
    vma_link,
)
from mmlocks.mm.syscalls.modify import vma_modify_flags
from mmlocks.mm.syscalls.mprotect import (
    PROT_GROWSDOWN,
    PROT_GROWSUP,
    PROT_SEM,
    _mprotect_range,
    change_protection,
    mprotect,
    mprotect_fixup,
)
from mmlocks.mm.syscalls.mremap import (
    MREMAP_DONTUNMAP,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
    SPARE_MAPS,
    _check,
    _expand_in_place,
    _move_several,
    _remap_one,
    copy_vma,
    drop_rmap_locks,
    move_page_tables,
    move_vma,
    mremap,
    take_rmap_locks,
)
from mmlocks.mm.syscalls.munmap import (
    do_munmap,
    do_vmi_munmap,
    munmap,
    unmap_region,
    zap_page_range,
)
from mmlocks.mm.syscalls.placement import (
    HUGE,
    get_unmapped_area,
    room_ends,
    unmapped_area,
    unmapped_area_topdown,
)
from mmlocks.mm.syscalls.split import split_in_two, split_vma
from mmlocks.mm.tlb import flush_tlb_mm, flush_tlb_page, flush_tlb_pages
from mmlocks.mm.user import fetch_add, fork, load, store
from mmlocks.mm.vm_flags import (
    FAULT_FLAG_USER,
    FAULT_FLAG_VMA_LOCK,
    FAULT_FLAG_WRITE,
    VM_ACCESS_FLAGS,
    VM_ACCOUNT,
    VM_EXEC,
    VM_GROWSDOWN,
    VM_MAY_ACCESS,
    VM_MAYEXEC,
    VM_MAYREAD,
    VM_MAYSHARE,
    VM_MAYWRITE,
    VM_NORESERVE,
    VM_READ,
    VM_SHARED,
    VM_WRITE,
)
from mmlocks.mm.vma import fields_of, vm_area_alloc, vm_area_alloc_step, vm_area_free
from mmlocks.mm.vma_dup import _duplicate, _duplicate_at_once, vm_area_dup, vm_area_dup_step
from mmlocks.mm.vma_lock import (
    leave_rcu_if_covered,
    lock_vma_under_rcu,
    mmap_assert_write_locked,
    vma_end_read,
    vma_end_write_all,
    vma_start_read,
    vma_start_write,
)

put_stubs()

__all__ = [
    "EACCES", "EEXIST", "EFAULT", "EINVAL", "END", "ENOMEM", "EPERM", "FAULT_FLAG_USER",
    "FAULT_FLAG_VMA_LOCK", "FAULT_FLAG_WRITE", "FEWEST", "HUGE", "MADV_DONTNEED", "MAP_FIXED",
    "MAP_FIXED_NOREPLACE", "MAP_GROWSDOWN", "MAP_NORESERVE", "MAP_PRIVATE", "MAP_SHARED",
    "MREMAP_DONTUNMAP", "MREMAP_FIXED", "MREMAP_MAYMOVE", "PAGE_SIZE", "PROT_GROWSDOWN",
    "PROT_GROWSUP", "PROT_SEM", "SLOTS", "SPARE_MAPS", "VM_ACCESS_FLAGS", "VM_ACCOUNT", "VM_EXEC",
    "VM_GROWSDOWN", "VM_MAYEXEC", "VM_MAYREAD", "VM_MAYSHARE", "VM_MAYWRITE", "VM_MAY_ACCESS",
    "VM_NORESERVE", "VM_READ", "VM_SHARED", "VM_WRITE", "AnonVma", "Fields", "File", "Frame",
    "Kernel", "Level", "MapleNode", "Memory", "Mm", "Proposal", "Pte", "Pvma", "Ranges",
    "SegmentationFault", "Vma", "_alike", "_build", "_check", "_duplicate", "_duplicate_at_once",
    "_expand_in_place", "_joined", "_move_brk", "_move_several", "_mprotect_range", "_remap_one",
    "_replace_below", "_replace_root", "_rewrite", "accountable", "add_new_anon_rmap",
    "anon_vma_alloc", "anon_vma_alloc_step", "anon_vma_clone", "anon_vma_fork", "anon_vma_prepare",
    "brk", "change_protection", "commit_merge", "copy_page_range", "copy_present_pte", "copy_vma",
    "copy_vma_under_rcu", "do_anonymous_page", "do_fault", "do_mmap", "do_munmap", "do_read_fault",
    "do_speculative_fault", "do_user_addr_fault", "do_vmi_munmap", "do_wp_page", "drop_rmap_locks",
    "dup_mmap", "expand_downwards", "expand_stack", "fetch_add", "fields_of",
    "find_mergeable_anon_vma", "find_vma", "find_vma_before", "finish_fault", "flush_tlb_mm",
    "flush_tlb_page", "flush_tlb_pages", "folio_add_new_anon_rmap", "folio_get", "folio_put",
    "for_each_vma", "for_each_vma_step", "fork", "get_unmapped_area", "goes_after", "goes_before",
    "handle_mm_fault", "i_mmap_lock_write", "i_mmap_unlock_write", "leave_rcu_if_covered",
    "linear_page_index", "load", "lock_mm_and_find_vma", "lock_vma_under_rcu", "madvise",
    "mas_build", "mas_descend", "mas_read", "mas_retire", "mas_start", "mas_walk", "mas_write",
    "may_share", "mmap", "mmap_assert_write_locked", "mmap_read_lock", "mmap_read_unlock",
    "mmap_region", "mmap_seq_read_check", "mmap_write_downgrade", "mmap_write_lock",
    "mmap_write_unlock", "move_page_tables", "move_vma", "mprotect", "mprotect_fixup", "mremap",
    "munmap", "page_align", "page_mkwrite", "page_of", "page_try_dup_anon_rmap", "pte_map_lock",
    "ptep_set_wrprotect", "put_step", "rmap_walk_file", "room_ends", "set_pte_at",
    "shmem_zero_setup", "shmem_zero_setup_step", "slot_of", "speculative_anonymous_page",
    "speculative_wp_page", "spliced", "split_in_two", "split_vma", "store", "take_rmap_locks",
    "together", "try_to_free_pages", "try_to_unmap_one", "unlink_anon_vmas", "unlink_file_vma",
    "unmap_region", "unmapped_area", "unmapped_area_topdown", "vm_area_alloc",
    "vm_area_alloc_step", "vm_area_dup", "vm_area_dup_step", "vm_area_free", "vma_alloc_folio",
    "vma_alloc_folio_step", "vma_end_read", "vma_end_write_all", "vma_interval_tree_foreach",
    "vma_iter_store", "vma_link", "vma_link_file", "vma_merge", "vma_modify_flags",
    "vma_set_page_prot", "vma_start_read", "vma_start_write", "vma_unlink_file",
    "vmf_anon_prepare", "wp_page_copy", "wp_page_shared", "writable_from_the_start",
    "zap_page_range",
]  # fmt: skip
