"""Files: their pages in memory, which every process that maps them shares."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mmlocks.errors import ScenarioTooSmall
from mmlocks.machine import Cell, Layout, Record, RwSem, Step, View, operation, together
from mmlocks.machine.step import NOTHING
from mmlocks.mm.frames import Frame, Memory
from mmlocks.mm.vm_flags import vm_get_page_prot

if TYPE_CHECKING:
    from mmlocks.mm.mm import Mm
    from mmlocks.mm.vma import Vma


class File(Record):
    """A file of `pages` pages that can be mapped (kernel: struct file with its address_space).

    All its pages are in memory; their first words are `words(page)`. Which frame a page has never changes; the first reference to each is the
    page cache's own.

    `notified` says that the file system wants to be told of the first store to each page, so that it can make room for it on the disk and
    write it back one day (kernel: page_mkwrite). Whoever looks for the pages' mappings finds the VMAs in `i_mmap`, under `i_mmap_rwsem`; VMAs
    are write-locked before that is taken, not after.

    Differs: a page has no lock of its own (kernel: folio_lock); see rmap_walk_file. `i_mmap` is a tuple in the order in which VMAs were added, not a
    tree; vma_interval_tree_foreach puts it in order.
    """

    def __init__(
        self,
        layout: Layout,
        memory: Memory,
        name: str,
        pages: int,
        words: Callable[[int], tuple[Any, ...]],
        notified: bool = False,
    ) -> None:
        super().__init__(layout, name)
        self.pages = pages
        self.notified = notified
        self.i_mmap_rwsem = RwSem(layout, f"{name}.i_mmap_rwsem")
        self.i_mmap: Cell[tuple[Vma, ...]] = layout.cell(f"{name}.i_mmap", (), bits=5)
        self.i_mmap.show = lambda vmas: ", ".join(map(str, vmas)) or "empty"
        self._memory = memory
        self._words = words
        # A file may have many pages of which few are looked at. In a search, everything must be there in advance.
        self._frames: dict[int, Frame] = {}
        for page in range(0 if layout.grows else pages):
            self.frame(page)

    def frame(self, page: int) -> Frame | None:
        """The frame of a page; None beyond the file's end."""
        if page >= self.pages:
            return None
        if page not in self._frames:
            name = f"{self.name} page {page}"
            words, notified = self._words(page), self.notified
            self._frames[page] = self._memory.new_frame(
                name, count=1, values=words, notified=notified
            )
        return self._frames[page]


def writable_from_the_start(vm_flags: int, file: File | None) -> bool:
    """What vm_page_prot must be in the end: a file that wants to be told of the first store must see it fault.

    Kernel:  mm/mmap.c vma_wants_writenotify().
    """
    return vm_get_page_prot(vm_flags) and (file is None or not file.notified)


async def vma_set_page_prot(vma: Vma) -> None:
    """Let vm_page_prot be what flags and file say.

    Kernel:  mm/mmap.c vma_set_page_prot().
    Locks:   mmap_lock for writing; *the VMA must be write-locked*, or a fault goes by what was there before.
    Differs: only called for the memory of files. It makes no difference for other memory, which is private.
    """
    vm_flags, file = await together(vma.vm_flags, vma.vm_file)  # mmap_lock keeps both as they are
    await vma.vm_page_prot.set(writable_from_the_start(vm_flags, file))


async def i_mmap_lock_write(file: File) -> None:
    """Keep others from looking for the file's mappings, and from changing them (include/linux/fs.h)."""
    await file.i_mmap_rwsem.down_write()


async def i_mmap_unlock_write(file: File) -> None:
    """Let them again (include/linux/fs.h)."""
    await file.i_mmap_rwsem.up_write()


async def vma_link_file(file: File, vma: Vma) -> None:
    """Let those who look for the file's mappings find a VMA (mm/mmap.c __vma_link_file).

    Locks:   i_mmap_rwsem for writing.
    """
    await file.i_mmap.set((*await file.i_mmap, vma))


async def vma_unlink_file(file: File, vma: Vma) -> None:
    """The opposite (mm/mmap.c __remove_shared_vm_struct).

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
    """Tell the file system that a page of a file is about to be stored to, before any entry lets it be.

    Kernel:  mm/memory.c do_page_mkwrite(), and what file systems do there: at the least, folio_mark_dirty().
    Locks:   mmap_lock for reading, or the VMA for reading. The page-table lock is *not* held: a file system may have to wait for its disk.
    Differs: nothing is ever written back, so that a page that is dirty stays so. Linux returns with the page locked (folio_lock), until the entry is
             made.
    """
    if folio.dirty is not None:
        await folio.dirty.set(True)


async def shmem_zero_setup(mm: Mm, pages: int) -> File:
    """A nameless file of zeros, to stand behind shared anonymous memory (mm/shmem.c shmem_zero_setup).

    Raises ScenarioTooSmall in a search, which has no room for new files.
    """
    file: File = await shmem_zero_setup_step(mm, pages)
    return file


def shmem_zero_setup_step(mm: Mm, pages: int) -> Step:
    """The step inside `shmem_zero_setup`; its result is the file."""
    return Step("shmem_zero_setup", (mm, pages))


def _shmem(view: View, cpu: int, mm: Mm, pages: int) -> File:
    layout = view.layout
    if not layout.grows:
        raise ScenarioTooSmall(
            f"cpu{cpu} maps shared anonymous memory, for which a search has no room. Map a file instead."
        )
    name = f"/dev/zero {len(layout.records)} (deleted)"
    return File(layout, mm.memory, name, pages, lambda page: (0,) * mm.memory.slots)


operation("shmem_zero_setup", lambda layout, cpu, *_: NOTHING, _shmem)
