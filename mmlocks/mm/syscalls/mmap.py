"""mmap: promise memory. A page is given out only when it is touched."""

from __future__ import annotations

from mmlocks.machine import together
from mmlocks.mm.address import PAGE_SIZE, page_align
from mmlocks.mm.errnos import EEXIST, EINVAL, ENOMEM
from mmlocks.mm.maple import for_each_vma, vma_iter_store
from mmlocks.mm.mm_types import File, Mm, Vma
from mmlocks.mm.mmap_lock import mmap_write_lock, mmap_write_unlock
from mmlocks.mm.pagecache import (
    i_mmap_lock_write,
    i_mmap_unlock_write,
    shmem_zero_setup,
    vma_link_file,
    vma_set_page_prot,
)
from mmlocks.mm.syscalls.merge import Proposal, vma_merge
from mmlocks.mm.syscalls.munmap import do_munmap
from mmlocks.mm.syscalls.placement import get_unmapped_area
from mmlocks.mm.vm_flags import (
    VM_ACCESS_FLAGS,
    VM_ACCOUNT,
    VM_GROWSDOWN,
    VM_MAY_ACCESS,
    VM_MAYSHARE,
    VM_NORESERVE,
    VM_SHARED,
    VM_WRITE,
)
from mmlocks.mm.vma import vm_area_alloc
from mmlocks.mm.vma_lock import vma_start_write
from mmlocks.releases import NEW_VMA_LOCKED, NEW_VMA_LOCKED_FIRST

MAP_SHARED, MAP_PRIVATE = 0x1, 0x2
MAP_FIXED, MAP_GROWSDOWN, MAP_NORESERVE, MAP_FIXED_NOREPLACE = 0x10, 0x100, 0x4000, 0x100000


async def mmap(
    mm: Mm,
    address: int,
    length: int,
    prot: int,
    flags: int,
    file: File | None = None,
    offset: int = 0,
) -> int:
    """The system call. Returns the address, or minus an errno.

    The bits of `prot` (PROT_READ, PROT_WRITE, PROT_EXEC) are those of VM_READ, VM_WRITE and
    VM_EXEC. `file` is None for anonymous memory, as with MAP_ANONYMOUS; `offset` is in bytes.
    (mm/util.c vm_mmap_pgoff, mm/mmap.c ksys_mmap_pgoff.)
    """
    if offset % PAGE_SIZE:
        return -EINVAL
    await mmap_write_lock(mm)
    result = await do_mmap(mm, address, length, prot, flags, file, offset // PAGE_SIZE)
    await mmap_write_unlock(mm)
    return result


async def do_mmap(
    mm: Mm, address: int, length: int, prot: int, flags: int, file: File | None, pgoff: int
) -> int:
    """Check the request, and choose an address. Returns the address, or minus an errno.

    Kernel:  mm/mmap.c do_mmap().
    Locks:   mmap_lock for writing.
    Returns: -EINVAL for a length of 0, neither MAP_SHARED nor MAP_PRIVATE, or a stack that is not
             private anonymous memory; -EEXIST if MAP_FIXED_NOREPLACE finds something; -ENOMEM for
             too many VMAs, or no room.
    """
    if length == 0:
        return -EINVAL
    if flags & MAP_FIXED_NOREPLACE:
        flags |= MAP_FIXED
    if not flags & MAP_FIXED:
        address -= address % PAGE_SIZE
        if 0 < address < mm.limits.mmap_min_addr:
            address = mm.limits.mmap_min_addr
    length = page_align(length)
    if await mm.map_count > mm.limits.max_map_count:
        return -ENOMEM
    private = file is None and not flags & MAP_SHARED
    address = await get_unmapped_area(mm, address, length, bool(flags & MAP_FIXED), private)
    if address < 0:
        return address
    if flags & MAP_FIXED_NOREPLACE and await for_each_vma(mm, address, address + length):
        return -EEXIST
    kind = flags & (MAP_SHARED | MAP_PRIVATE)
    if not kind or (flags & MAP_GROWSDOWN and not private):
        return -EINVAL
    vm_flags = prot & VM_ACCESS_FLAGS | VM_MAY_ACCESS
    if flags & MAP_SHARED:
        vm_flags |= VM_SHARED | VM_MAYSHARE
    if flags & MAP_GROWSDOWN:
        vm_flags |= VM_GROWSDOWN
    if flags & MAP_NORESERVE:
        vm_flags |= VM_NORESERVE
    if file is None and kind == MAP_SHARED:
        file, pgoff = await shmem_zero_setup(mm, length // PAGE_SIZE), 0
    elif file is None:
        pgoff = address // PAGE_SIZE
    return await mmap_region(mm, address, length, vm_flags, file, pgoff)


async def mmap_region(
    mm: Mm, address: int, length: int, vm_flags: int, file: File | None, pgoff: int
) -> int:
    """Replace all that lies in the range by memory with these flags.

    Returns the address, or minus an errno.

    Kernel:  mm/mmap.c mmap_region(); locks the new VMA since 33313a747e81 (6.4.3), and outside
             i_mmap_rwsem since 1c7873e33645 (6.4.3).
    Locks:   mmap_lock for writing; write-locks every VMA that changes, also the new one; takes the
             file's i_mmap_rwsem for writing.
    Races:   a fault that finds the new VMA before we are done with it.
    Differs: Linux also marks the VMA VM_SOFTDIRTY once it is in the tree, by a function that locks
             it.
    """
    end = address + length
    error = await do_munmap(mm, address, length)
    if error < 0:
        return error
    if accountable(vm_flags):
        vm_flags |= VM_ACCOUNT
    vma = await vma_merge(mm, Proposal(address, end, pgoff, vm_flags, file))
    if vma is None:
        vma = await vm_area_alloc(mm, address, end, pgoff, vm_flags, file)
        if NEW_VMA_LOCKED:
            if NEW_VMA_LOCKED_FIRST:
                await vma_start_write(vma)
        if file is not None:
            await i_mmap_lock_write(file)
        if NEW_VMA_LOCKED:
            if not NEW_VMA_LOCKED_FIRST:
                await vma_start_write(vma)
        await vma_iter_store(mm, address, end, vma)
        await mm.map_count.add(1)
        if file is not None:
            await vma_link_file(file, vma)
            await i_mmap_unlock_write(file)
    if file is not None:
        await vma_set_page_prot(vma)
    return address


async def vma_link(mm: Mm, vma: Vma) -> None:
    """Put a new VMA into the tree, where all others find it. brk and mremap call this.

    Kernel:  mm/mmap.c vma_link().
    Locks:   mmap_lock for writing; write-locks the VMA; takes the file's i_mmap_rwsem for writing.
    Races:   a fault, as soon as the tree shows the VMA.
    Differs: Linux's brk locks its new VMA only since ad9f006351c3 (August 2023). That hides no
             race: brk does not change the VMA after this.
    """
    if NEW_VMA_LOCKED:
        await vma_start_write(vma)
    start, end, file = await together(
        vma.vm_start, vma.vm_end, vma.vm_file
    )  # others do not know it yet
    if file is not None:
        await i_mmap_lock_write(file)
    await vma_iter_store(mm, start, end, vma)
    await mm.map_count.add(1)
    if file is not None:
        await vma_link_file(file, vma)
        await i_mmap_unlock_write(file)


def accountable(vm_flags: int) -> bool:
    """Whether every page of such memory may become the process's own (mm/mmap.c)."""
    return vm_flags & (VM_NORESERVE | VM_SHARED | VM_WRITE) == VM_WRITE
