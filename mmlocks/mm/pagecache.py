"""Files: what protects a page of a file, and the list of the VMAs that map the file."""

from __future__ import annotations

from mmlocks.machine import Step, together
from mmlocks.mm.mm_types import File, Frame, Mm, Vma
from mmlocks.mm.vm_flags import vm_get_page_prot


def writable_from_the_start(vm_flags: int, file: File | None) -> bool:
    """What vm_page_prot must be in the end: a notified file must see the first store fault.

    Kernel:  mm/mmap.c vma_wants_writenotify().
    """
    return vm_get_page_prot(vm_flags) and (file is None or not file.notified)


async def vma_set_page_prot(vma: Vma) -> None:
    """Set vm_page_prot to what flags and file say.

    Kernel:  mm/mmap.c vma_set_page_prot().
    Locks:   mmap_lock for writing; *the VMA must be write-locked*, or a fault uses the old value.
    Differs: called only for the memory of files. Other memory is private: no difference.
    """
    vm_flags, file = await together(vma.vm_flags, vma.vm_file)  # mmap_lock keeps both as they are
    await vma.vm_page_prot.set(writable_from_the_start(vm_flags, file))


async def i_mmap_lock_write(file: File) -> None:
    """Keep others from reading and changing the list of the file's VMAs (include/linux/fs.h)."""
    await file.i_mmap_rwsem.down_write()


async def i_mmap_unlock_write(file: File) -> None:
    """Let others use the list again (include/linux/fs.h)."""
    await file.i_mmap_rwsem.up_write()


async def vma_link_file(file: File, vma: Vma) -> None:
    """Add a VMA to the list of the file's VMAs (mm/mmap.c __vma_link_file).

    Locks:   i_mmap_rwsem for writing.
    """
    await file.i_mmap.set((*await file.i_mmap, vma))


async def vma_unlink_file(file: File, vma: Vma) -> None:
    """Remove a VMA from the list (mm/mmap.c __remove_shared_vm_struct).

    Locks:   i_mmap_rwsem for writing.
    """
    await file.i_mmap.set(tuple(other for other in await file.i_mmap if other is not vma))


async def unlink_file_vma(file: File, vma: Vma) -> None:
    """The same with its lock, for a VMA that is about to be freed (mm/mmap.c unlink_file_vma).

    Locks:   takes i_mmap_rwsem for writing.
    """
    await i_mmap_lock_write(file)
    await vma_unlink_file(file, vma)
    await i_mmap_unlock_write(file)


async def page_mkwrite(folio: Frame) -> None:
    """Tell the file system that a page is about to be stored to, before any entry allows it.

    Kernel:  mm/memory.c do_page_mkwrite(), and what file systems do there: at least
             folio_mark_dirty().
    Locks:   mmap_lock for reading, or the VMA for reading. The page-table lock is *not* held: a
             file system may have to wait for its disk.
    Differs: nothing is ever written back, so a dirty page stays dirty. Linux returns with the page
             locked (folio_lock), until the entry is made.
    """
    if folio.dirty is not None:
        await folio.dirty.set(True)


async def shmem_zero_setup(mm: Mm, pages: int) -> File:
    """A nameless file of zeros, for shared anonymous memory (mm/shmem.c shmem_zero_setup).

    Raises ScenarioTooSmall in a search, which has no room for new files.
    """
    file: File = await shmem_zero_setup_step(mm, pages)
    return file


def shmem_zero_setup_step(mm: Mm, pages: int) -> Step:
    """The step inside `shmem_zero_setup`; its result is the file."""
    return Step("shmem_zero_setup", (mm, pages))
