"""Splitting: a VMA in which a range begins or ends becomes two, alike but for their addresses."""

from __future__ import annotations

from mmlocks.machine import together
from mmlocks.mm.address import PAGE_SIZE
from mmlocks.mm.errnos import ENOMEM
from mmlocks.mm.maple import vma_iter_store
from mmlocks.mm.mm_types import Mm, Vma
from mmlocks.mm.pagecache import i_mmap_lock_write, i_mmap_unlock_write, vma_link_file
from mmlocks.mm.rmap import anon_vma_clone
from mmlocks.mm.vma import fields_of, vm_area_alloc
from mmlocks.mm.vma_lock import vma_start_write


async def split_vma(mm: Mm, vma: Vma, address: int, below: bool) -> Vma | int:
    """Split at `address`. Returns the new VMA, or -ENOMEM if there are too many VMAs.

    The new VMA is the part `below` the address, or else the part above it.

    Kernel:  mm/mmap.c split_vma().
    Locks:   mmap_lock for writing; write-locks the VMA.
    """
    if await mm.map_count >= mm.limits.max_map_count:
        return -ENOMEM
    return await split_in_two(mm, vma, address, below)


async def split_in_two(mm: Mm, vma: Vma, address: int, below: bool) -> Vma:
    """The same without a limit on the number of VMAs (mm/mmap.c __split_vma).

    Locks:   mmap_lock for writing; write-locks the VMA; takes the file's i_mmap_rwsem for writing.
    Races:   faults under the VMA lock, until it is write-locked. Both VMAs stay write-locked while
             addresses pass from one to the other in the tree.
    Differs: Linux does not lock the new VMA, which others do not know yet. Takes no anon_vma lock;
             see AnonVma.
    """
    old = await fields_of(vma)
    upper = old.pgoff + (address - old.start) // PAGE_SIZE
    start, end, pgoff = (old.start, address, old.pgoff) if below else (address, old.end, upper)
    new = await vm_area_alloc(mm, start, end, pgoff, old.flags, old.file, old.page_prot)
    if old.anon_vma is not None:
        await new.anon_vma.set(old.anon_vma)
        await anon_vma_clone(new, vma)
    await vma_start_write(vma)
    await vma_start_write(new)
    if old.file is not None:
        await i_mmap_lock_write(old.file)
    if below:
        await together(vma.vm_start.set(address), vma.vm_pgoff.set(upper))
    else:
        await vma.vm_end.set(address)
    await vma_iter_store(mm, start, end, new)
    if old.file is not None:
        await vma_link_file(old.file, new)
        await i_mmap_unlock_write(old.file)
    await mm.map_count.add(1)
    return new
