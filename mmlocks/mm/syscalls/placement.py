"""Placement: where mmap puts memory if the program gives no address, or only a hint."""

from __future__ import annotations

from mmlocks.machine import together
from mmlocks.mm.address import PAGE_SIZE
from mmlocks.mm.errnos import EINVAL, ENOMEM
from mmlocks.mm.maple import find_vma, find_vma_before
from mmlocks.mm.maple_node import END
from mmlocks.mm.mm_types import Mm, Vma
from mmlocks.mm.vm_flags import VM_GROWSDOWN
from mmlocks.releases import THP_ALIGNS_MMAP, THP_ALIGNS_MULTIPLES_ONLY

HUGE = 2 << 20
"""The size of a huge page of x86-64, in bytes."""


async def get_unmapped_area(mm: Mm, address: int, length: int, fixed: bool, private: bool) -> int:
    """An address at which `length` bytes may be mapped, or minus an errno.

    A `fixed` place may be in use already. `private` means anonymous and private.

    Kernel:  mm/mmap.c __get_unmapped_area(), arch/x86/kernel/sys_x86_64.c
             arch_get_unmapped_area_topdown().
    Locks:   mmap_lock for writing.
    Returns: -ENOMEM if there is no room; for `fixed`, also -EINVAL within a page.
    Differs: a fixed place may be in the lowest pages, which Linux gives only to root.
    """
    limits = mm.limits
    if length > limits.task_size:
        return -ENOMEM
    if fixed:
        if address > END - PAGE_SIZE:
            return address - END  # Linux takes it for minus an errno, and returns it
        if address > limits.task_size - length:
            return -ENOMEM
        if address % PAGE_SIZE:
            return -EINVAL
        return address
    if address and address <= limits.task_size - length:
        above = await find_vma(mm, address)
        if above is None or address + length <= await room_ends(mm, above):
            return address
    if THP_ALIGNS_MMAP:
        aligned = private and not address and length >= HUGE
        if THP_ALIGNS_MULTIPLES_ONLY:
            aligned = aligned and length % HUGE == 0
        start = await unmapped_area_topdown(mm, length + HUGE) if aligned else 0
        if start > 0:
            return start + HUGE - start % HUGE
    start = await unmapped_area_topdown(mm, length)
    return start if start > 0 else await unmapped_area(mm, length)


async def unmapped_area_topdown(mm: Mm, length: int) -> int:
    """The highest free place below mmap_base, or -ENOMEM (mm/mmap.c unmapped_area_topdown)."""
    top = mm.limits.mmap_base
    while top - length >= mm.limits.mmap_min_addr:
        above = await find_vma(mm, top - 1)
        start = await above.vm_start if above is not None else top
        if start < top:
            top = start
            continue
        below = await find_vma_before(mm, top)
        end = await below.vm_end if below is not None else 0
        if top - length < max(end, mm.limits.mmap_min_addr):
            if below is None:
                break
            top = await below.vm_start
            continue
        # A stack's gap counts only for the hole right below it, then for all that comes after.
        room = await room_ends(mm, above) if above is not None else top
        if room >= top:
            return top - length
        top = room
    return -ENOMEM


async def unmapped_area(mm: Mm, length: int) -> int:
    """The lowest free place above mmap_base, or -ENOMEM (mm/mmap.c unmapped_area)."""
    start = mm.limits.mmap_base
    while start + length <= mm.limits.task_size:
        above = await find_vma(mm, start)
        if above is None or start + length <= await room_ends(mm, above):
            return start
        start = max(start, await above.vm_end)
    return -ENOMEM


async def room_ends(mm: Mm, vma: Vma) -> int:
    """Where the room below a VMA ends: at its start, or at a stack's guard gap (vm_start_gap)."""
    start, vm_flags = await together(vma.vm_start, vma.vm_flags)
    room: int = max(0, start - mm.limits.stack_guard_gap) if vm_flags & VM_GROWSDOWN else start
    return room
