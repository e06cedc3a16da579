"""The kernel's own books: counts add up, pages can be found, no lock is left behind."""

from __future__ import annotations

from mmlocks.machine import Violation
from mmlocks.mm.address import PAGE_SIZE
from mmlocks.mm.filing import linear_page_index
from mmlocks.mm.mm_types import Mm
from mmlocks.mm.world import World


def references_add_up(world: World, state: int) -> Violation | None:
    """A frame's count is the number of entries that map it.

    With a smaller count it is freed too early, with a larger one it leaks.
    """
    for frame in world.memory.frames:
        mapped = sum(
            entry is not None and entry.frame is frame
            for mm in world.spaces
            for entry in (cell.of(state) for cell in mm.page_table.pte.values())
        )
        count = frame.refcount.of(state)
        if count != mapped:
            problem = "it leaks" if count > mapped else "it will be freed while in use"
            return Violation(
                "references",
                f"at the end {frame} is mapped {mapped} times and its count is {count}: {problem}",
            )
    return None


def frames_can_be_found(world: World, state: int) -> Violation | None:
    """Every anonymous frame is filed where rmap looks.

    That is an anon_vma to which each VMA that maps it is linked, under that VMA's index. A child's
    own frame that was never filed passes: nothing here unmaps a child's pages.
    """
    return _filed(world, state, "misfiled", [world.mm])


def what_is_filed_can_be_found(world: World, state: int) -> Violation | None:
    """The same, for frames that were filed at all."""
    return _filed(world, state, "filed_wrong", [])


def _filed(world: World, state: int, oracle: str, all_of: list[Mm]) -> Violation | None:
    for mm in world.spaces:
        for vma in mm.mm_mt.contents(state):
            start, end, pgoff = (
                cell.of(state) for cell in (vma.vm_start, vma.vm_end, vma.vm_pgoff)
            )
            for page in mm.page_table.pages(start, end):
                entry = mm.page_table.pte[page].of(state)
                if entry is None or not entry.frame.anonymous:
                    continue
                index, anon_vma = entry.frame.index.of(state), entry.frame.mapping.of(state)
                if anon_vma is None and mm not in all_of and entry.frame.refcount.of(state) == 1:
                    continue
                wanted = linear_page_index(pgoff, start, page * PAGE_SIZE)
                if index != wanted or anon_vma not in vma.anon_vma_chain.of(state):
                    chain = ", ".join(map(str, vma.anon_vma_chain.of(state))) or "no anon_vmas"
                    return Violation(
                        oracle,
                        f"at the end {entry.frame} is filed in {anon_vma} under index {index}, "
                        f"but VMA {vma}, which maps it at P{page}, would have it under {wanted} in "
                        f"one of {chain}: a walk that unmaps the frame will not find this mapping",
                    )
                if anon_vma.freed.of(state):
                    return Violation(
                        oracle,
                        f"at the end {entry.frame}, which VMA {vma} maps at P{page}, is filed in "
                        f"{anon_vma}, which has been freed: a walk that unmaps the frame looks "
                        "into freed memory",
                    )
    return None


def pages_have_areas(world: World, state: int) -> Violation | None:
    """No page is mapped where no VMA is.

    Nothing would ever unmap it, and the next VMA there would find it.
    """
    for mm in world.spaces:
        areas = [(vma.vm_start.of(state), vma.vm_end.of(state)) for vma in mm.mm_mt.contents(state)]
        for page, cell in mm.page_table.pte.items():
            if cell.of(state) is not None and not any(
                start <= page * PAGE_SIZE < end for start, end in areas
            ):
                return Violation(
                    "stray_page",
                    f"at the end {cell.name} is {cell.of(state)}, and no VMA of {mm} is there",
                )
    return None


def nothing_is_held(world: World, state: int) -> Violation | None:
    """Every lock is free again, and no RCU read section is open."""
    mms = world.spaces
    semaphores = [mm.mmap_lock for mm in mms] + [
        vma.vm_lock for mm in mms for vma in (*mm.vmas, *mm.spare_vmas)
    ]
    semaphores += [file.i_mmap_rwsem for file in world.files.values()]
    for lock in semaphores:
        if 0 < lock.writer.of(state) <= world.layout.cpus:  # one above: it was freed
            return Violation(
                "held_at_end",
                f"at the end cpu{lock.writer.of(state) - 1} still holds {lock} for writing",
            )
        for cpu, reader in enumerate(lock.readers):
            if reader.of(state):
                return Violation(
                    "held_at_end", f"at the end cpu{cpu} still holds {lock} for reading"
                )
    for vma in world.mm.vmas:
        if vma.vm_lock_seq.of(state) == world.mm.mm_lock_seq.of(state):
            return Violation(
                "held_at_end",
                f"at the end VMA {vma} is still write-locked (its vm_lock_seq is mm_lock_seq, "
                f"{vma.vm_lock_seq.of(state)}): every later fault there must take the slow path",
            )
    if world.mm.mm_seq.of(state) % 2:
        return Violation(
            "held_at_end",
            f"at the end mm_seq is {world.mm.mm_seq.of(state)}: odd, as if a writer were at work",
        )
    for mm in mms:
        for spinlock in (mm.page_table_lock, *mm.page_table.ptl.values()):
            if spinlock.owner.of(state):
                return Violation(
                    "held_at_end",
                    f"at the end cpu{spinlock.owner.of(state) - 1} still holds {spinlock}",
                )
    for cpu, section in enumerate(world.rcu.sections):
        if section.of(state) % 2:
            return Violation("held_at_end", f"at the end cpu{cpu} is still in an RCU read section")
    return None
