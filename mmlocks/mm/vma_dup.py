"""The copy of a VMA that fork makes for the child: a whole coroutine as one step, as nobody knows the child yet."""

from __future__ import annotations

from typing import Any

from mmlocks.machine import Cell, Layout, Step, operation
from mmlocks.machine.sequential import carried_out
from mmlocks.machine.step import Footprint, touching
from mmlocks.mm.maple import vma_iter_store
from mmlocks.mm.mm import Mm
from mmlocks.mm.pagecache import File, i_mmap_lock_write, i_mmap_unlock_write, vma_link_file
from mmlocks.mm.rmap import anon_vma_fork
from mmlocks.mm.vma import Vma, fields_of, vm_area_alloc


async def vm_area_dup(mm: Mm, orig: Vma) -> Vma:
    """A copy of a VMA in the new address space, with a lock and an anon_vma of its own, and in its tree.

    Kernel:  kernel/fork.c vm_area_dup(), mm/rmap.c anon_vma_fork(), and the store into the child's tree.
    Locks:   oldmm's mmap_lock for writing; takes the file's i_mmap_rwsem for writing.
    Races:   a first fault on `orig`, which gives it an anon_vma.
    Differs: all but the file is one step, since of all that happens here others can see only that orig.anon_vma is read. Linux takes the
             anon_vma's lock to link the copy, and puts the copy into the child's tree after it has put it into the file's i_mmap.
    """
    vma, file = await _duplicate(mm, orig)
    if file is not None:
        # A walk from the file visits the copy after `orig`: both have one vm_pgoff, and `orig` was there first.
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
    """`_duplicate` as one step. A kernel runs this in its place, unless a function that it calls is replaced (see `Linked`)."""
    vma: Vma
    vma, file = await vm_area_dup_step(mm, orig)
    return vma, file


def vm_area_dup_step(mm: Mm, orig: Vma) -> Step:
    """The step inside `vm_area_dup`; its result is the copy, and the file that it maps."""
    return Step("vm_area_dup", (mm, orig))


def _dup_touches(layout: Layout, cpu: int, mm: Mm, orig: Vma) -> Footprint:
    parent = orig.vm_mm
    read: list[Cell[Any]] = [
        orig.vm_start, orig.vm_end, orig.vm_pgoff, orig.vm_flags, orig.vm_file, orig.anon_vma, orig.anon_vma_chain,
        orig.vm_page_prot,
    ]  # fmt: skip
    child: list[Cell[Any]] = [
        mm.mm_mt.ma_root, mm.map_count, *(node.ranges for node in mm.mm_mt.nodes),
        *(cell for vma in mm.spare_vmas for cell in vma.fields()),
    ]  # fmt: skip
    linked = [
        count
        for vma in (*parent.vmas, *parent.spare_vmas, *mm.spare_vmas)
        for anon_vma in vma.spare_anon_vmas
        for count in (anon_vma.refcount, anon_vma.freed)
    ]
    ours = [cell.index for cell in (*child, *linked)]
    return touching(reads=[*(cell.index for cell in read), *ours], writes=ours)


operation(
    "vm_area_dup",
    _dup_touches,
    lambda view, cpu, mm, orig: carried_out(view, cpu, _duplicate(mm, orig)),
)
