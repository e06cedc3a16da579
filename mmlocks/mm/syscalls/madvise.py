"""madvise: tell the kernel how memory will be used. Only MADV_DONTNEED, which forgets, is here."""

from __future__ import annotations

from mmlocks.machine import together
from mmlocks.mm.address import PAGE_SIZE, page_align
from mmlocks.mm.errnos import EINVAL, ENOMEM
from mmlocks.mm.maple import find_vma
from mmlocks.mm.mm_types import Mm
from mmlocks.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from mmlocks.mm.syscalls.munmap import zap_page_range

MADV_DONTNEED = 4


async def madvise(mm: Mm, start: int, length: int, advice: int) -> int:
    """The system call, for MADV_DONTNEED: forget the contents of a range.

    From then on the range reads as zeros, or as its file.

    Kernel:  mm/madvise.c do_madvise(), madvise_dontneed_single_vma().
    Locks:   takes mmap_lock for reading: the VMAs stay as they are.
    Races:   faults on the range, which may bring pages back at once.
    Returns: 0; -EINVAL for other advice, or a start within a page; -ENOMEM if parts of the range
             are not mapped, after the other parts were forgotten.
    """
    if advice != MADV_DONTNEED or start % PAGE_SIZE:
        return -EINVAL
    end = start + page_align(length)
    if end >= 1 << 64:
        return -EINVAL
    if end == start:
        return 0
    await mmap_read_lock(mm)
    error, vma = 0, await find_vma(mm, start)
    while start < end:
        low, high = await together(vma.vm_start, vma.vm_end) if vma is not None else (end, end)
        if start < low:
            error = -ENOMEM
        if low < end:
            await zap_page_range(mm, max(low, start), min(high, end))
        start = high
        vma = await find_vma(mm, start) if start < end else None
    await mmap_read_unlock(mm)
    return error
