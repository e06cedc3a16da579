"""The copy of a VMA that fork makes for the child."""

from __future__ import annotations

from mmlocks.machine import Step
from mmlocks.mm.maple import vma_iter_store
from mmlocks.mm.mm_types import File, Mm, Vma
from mmlocks.mm.pagecache import i_mmap_lock_write, i_mmap_unlock_write, vma_link_file
from mmlocks.mm.rmap import anon_vma_fork
from mmlocks.mm.vma import fields_of, vm_area_alloc


async def vm_area_dup(mm: Mm, orig: Vma) -> Vma:
    """A copy of a VMA in the new address space, with its own lock and anon_vma, and in its tree.

    Kernel:  kernel/fork.c vm_area_dup(), mm/rmap.c anon_vma_fork(), and the store into the
             child's tree.
    Locks:   oldmm's mmap_lock for writing; takes the file's i_mmap_rwsem for writing.
    Races:   a first fault on `orig`, which gives it an anon_vma.
    Differs: all but the file is one step: the child is unknown yet, so others can see only that
             orig.anon_vma is read. Linux takes the anon_vma's lock to link the copy, and puts the
             copy into the child's tree after it has put it into the file's i_mmap.
    """
    vma, file = await _duplicate(mm, orig)
    if file is not None:
        # A walk from the file visits the copy after `orig`: both have one vm_pgoff, and `orig`
        # was there first.
        await i_mmap_lock_write(file)
        await vma_link_file(file, vma)
        await i_mmap_unlock_write(file)
    return vma


async def _duplicate(mm: Mm, orig: Vma) -> tuple[Vma, File | None]:
    old = await fields_of(orig)
    vma = await vm_area_alloc(mm, old.start, old.end, old.pgoff, old.flags, old.file, old.page_prot)
    await anon_vma_fork(vma, orig)
    await vma_iter_store(mm, old.start, old.end, vma)
    await mm.map_count.add(1)
    return vma, old.file


async def _duplicate_at_once(mm: Mm, orig: Vma) -> tuple[Vma, File | None]:
    """`_duplicate` as one step.

    A kernel runs this in its place, unless it replaces a function that `_duplicate` calls (see
    Linked).
    """
    vma: Vma
    vma, file = await vm_area_dup_step(mm, orig)
    return vma, file


def vm_area_dup_step(mm: Mm, orig: Vma) -> Step:
    """The step inside `vm_area_dup`; its result is the copy, and the file that it maps."""
    return Step("vm_area_dup", (mm, orig))
