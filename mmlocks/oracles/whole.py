"""What fork must leave behind: a child that is a whole copy, and a parent that is as before.

These oracles judge answers. Our own scenarios do not ask for them: no kernel text of ours breaks
them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmlocks.machine import Cell, Violation
from mmlocks.mm.maple_node import MapleNode
from mmlocks.mm.mm_types import USED, AnonVma, Mm, Vma
from mmlocks.mm.vm_flags import VM_ACCESS_FLAGS, VM_SHARED, VM_WRITE
from mmlocks.mm.world import World

COPIED = ("vm_start", "vm_end", "vm_pgoff", "vm_flags", "vm_page_prot", "vm_file", "detached")
"""Fields that have the same value in the child's VMA and in its parent's."""


def child_is_whole(world: World, state: int) -> Violation | None:
    """Every child has, in a tree of its own, a copy of each of its parent's VMAs."""
    found = (problem for child in world.children for problem in _missing(world, state, child))
    return _violation("whole_child", found)


def parent_is_as_before(world: World, state: int) -> Violation | None:
    """The parent's VMAs are as they were, and none is write-locked or will seem to be."""
    return _violation("same_parent", _changed(world, state))


def entries_are_sound(world: World, state: int) -> Violation | None:
    """No page-table entry allows what its VMA forbids, or a store to a frame with other users."""
    found = (problem for mm in world.spaces for problem in _unsound(world, state, mm))
    return _violation("sound_entries", found)


def anon_vmas_are_linked(world: World, state: int) -> Violation | None:
    """A VMA is linked to its anon_vma, and every anon_vma counts the VMAs linked to it."""
    return _violation("anon_vmas", _unlinked(world, state))


def stores_were_made(world: World, state: int) -> Violation | None:
    """Every store that a program was to make has been completed."""
    return _violation("stores_made", _not_stored(world, state))


def nothing_leaks(world: World, state: int) -> Violation | None:
    """Every VMA that no tree leads to has been freed."""
    return _violation("leak", (problem for mm in world.spaces for problem in _lost(mm, state)))


def _violation(oracle: str, problems: Iterator[str]) -> Violation | None:
    problem = next(problems, None)
    return None if problem is None else Violation(oracle, f"at the end {problem}")


def _missing(world: World, state: int, child: Mm) -> Iterator[str]:
    ours, theirs = world.mm.mm_mt.contents(state), child.mm_mt.contents(state)
    yield from _tree(child, state)
    if len(ours) != len(theirs):
        yield f"{child} has {len(theirs)} VMAs and its parent {len(ours)}"
    for parents, own in zip(ours, theirs, strict=False):
        if own.vm_mm is not child:
            yield f"the tree of {child} leads to VMA {own}, which is a VMA of {own.vm_mm}"
        for field in COPIED:
            was, now = (getattr(vma, field) for vma in (parents, own))
            if was.of(state) != now.of(state):
                yield f"{_said(now, state)}, and {_said(was, state)}: fork copies that field"
        yield from _filed(world, state, parents, own)
        # A VMA that is still locked passes: Linux gives up the child's mmap_lock after fork, and
        # that unlocks it.
        if not _reached(own.vm_lock_seq.of(state), child.mm_lock_seq.of(state) + 1):
            yield (
                f"{_said(own.vm_lock_seq, state)}, which {child.mm_lock_seq} "
                f"({child.mm_lock_seq.of(state)}) has yet to reach: then the VMA will seem to be "
                "write-locked"
            )
    yield from _mm(child, state)
    if child.brk.of(state) != world.mm.brk.of(state):
        yield f"{_said(child.brk, state)}, and {_said(world.mm.brk, state)}"


def _filed(world: World, state: int, parents: Vma, own: Vma) -> Iterator[str]:
    """What is wrong with the anon_vmas of a child's VMA.

    Those that its parent has now may have been set by a first fault after fork.
    """
    chain, theirs = parents.anon_vma_chain.of(state), own.anon_vma_chain.of(state)
    anon_vma = own.anon_vma.of(state)
    if anon_vma is None:
        if parents.anon_vma.of(world.layout.initial) is not None:
            yield (
                f"VMA {own} has no anon_vma, and its parent's VMA has one: "
                "their pages can be found no more"
            )
        return
    if anon_vma in chain:
        yield f"VMA {own} has no anon_vma of its own, but its parent's, {anon_vma}"
    lacking = next((each for each in chain if each not in theirs), None)
    if lacking is not None:
        yield f"VMA {own} is not linked to {lacking}, where its parent's pages are filed"


def _changed(world: World, state: int) -> Iterator[str]:
    mm, before = world.mm, world.layout.initial
    yield from _tree(mm, state)
    vmas = mm.mm_mt.contents(state)
    if vmas != mm.mm_mt.contents(before):
        names = ", ".join(map(str, vmas)) or "none"
        yield f"the parent has the VMAs {names}, which are not those from before"
    for vma in vmas:
        fields: list[Cell[Any]] = [getattr(vma, field) for field in COPIED]
        if vma.anon_vma.of(before) is not None:  # else a first fault may have set it
            fields += [vma.anon_vma, vma.anon_vma_chain]
        for cell in fields:
            if cell.of(state) != cell.of(before):
                yield f"{_said(cell, state)}, and it was {cell.text(cell.of(before))} before"
        if not _reached(vma.vm_lock_seq.of(state), mm.mm_lock_seq.of(state)):
            yield (
                f"{_said(vma.vm_lock_seq, state)}, and mm_lock_seq is {mm.mm_lock_seq.of(state)}: "
                "the VMA is write-locked, or will seem to be once mm_lock_seq has come so far"
            )
    yield from _mm(mm, state)
    if mm.brk.of(state) != mm.brk.of(before):
        yield f"{_said(mm.brk, state)}, and it was {mm.brk.text(mm.brk.of(before))} before"


def _mm(mm: Mm, state: int) -> Iterator[str]:
    """What is wrong with the fields of an address space itself."""
    vmas = mm.mm_mt.contents(state)
    if mm.map_count.of(state) != len(vmas):
        yield f"{_said(mm.map_count, state)}, and its tree has {len(vmas)} VMAs"
    yield from _lost(mm, state)
    if mm.mm_seq.of(state) % 2:
        yield f"{_said(mm.mm_seq, state)}: odd, as if a writer were at work"


def _lost(mm: Mm, state: int) -> Iterator[str]:
    vmas = mm.mm_mt.contents(state)
    for vma in (*mm.vmas, *mm.spare_vmas):
        if vma.life.of(state) == USED and vma not in vmas:
            yield f"VMA {vma} was allocated, and no tree leads to it: it leaks"


def _tree(mm: Mm, state: int) -> Iterator[str]:
    """Where a tree has a node of another tree, or leads to a VMA where that VMA is not."""
    for node, start, end, vma in _ranges(mm.mm_mt.ma_root.of(state), 0, state):
        if all(node is not own for own in mm.mm_mt.nodes):
            yield f"the tree of {mm} has the node {node}, which is another tree's"
        if vma is not None and (vma.vm_start.of(state), vma.vm_end.of(state)) != (start, end):
            yield (
                f"the tree of {mm} leads to VMA {vma} from {start:#x} to {end:#x}, and "
                f"{_said(vma.vm_start, state)}, {_said(vma.vm_end, state)}"
            )


def _ranges(
    node: MapleNode, start: int, state: int
) -> Iterator[tuple[MapleNode, int, int, Vma | None]]:
    ranges = node.ranges.of(state)
    for end, slot in zip(ranges.ends, ranges.slots, strict=True):
        if isinstance(slot, MapleNode):
            yield from _ranges(slot, start, state)
        else:
            yield node, start, end, slot
        start = end


def _reached(number: Any, limit: int) -> bool:
    """Whether a VMA's sequence number is one that its mm has had before `limit`."""
    return type(number) is int and number < limit


def _unsound(world: World, state: int, mm: Mm) -> Iterator[str]:
    if any(cell.of(state) != 0 for cell in world.memory.zero.data):
        yield "the zero frame, which all processes map for pages of zeros, holds something else"
    for vma in mm.mm_mt.contents(state):
        flags = vma.vm_flags.of(state)
        for page in mm.page_table.pages(vma.vm_start.of(state), vma.vm_end.of(state)):
            cell = mm.page_table.pte[page]
            entry = cell.of(state)
            if entry is None:
                continue
            if entry.none == bool(flags & VM_ACCESS_FLAGS):
                yield f"{cell.name} is {entry}, and {_said(vma.vm_flags, state)}"
            if not entry.write:
                continue
            if not flags & VM_WRITE:
                yield (
                    f"{cell.name} is {entry}, and {_said(vma.vm_flags, state)}: "
                    "it must not be writable"
                )
            if entry.frame is world.memory.zero:
                yield (
                    f"{cell.name} is {entry}: the zero frame, which others map as well, "
                    "can be written to"
                )
            users = entry.frame.refcount.of(state)
            if entry.frame.anonymous and not flags & VM_SHARED and users != 1:
                yield (
                    f"{cell.name} is {entry}, and the count of {entry.frame} is {users}: "
                    "only its single user may write to it"
                )


def _unlinked(world: World, state: int) -> Iterator[str]:
    linked: dict[AnonVma, int] = {}
    for mm in world.spaces:
        for vma in mm.mm_mt.contents(state):
            anon_vma, chain = vma.anon_vma.of(state), vma.anon_vma_chain.of(state)
            if (anon_vma is None) != (chain == ()) or (chain and anon_vma not in chain):
                yield f"{_said(vma.anon_vma, state)}, and {_said(vma.anon_vma_chain, state)}"
            for each in chain:
                linked[each] = linked.get(each, 0) + 1
                if each.freed.of(state):
                    yield f"VMA {vma} is linked to {each}, which has been freed"
    for record in world.layout.records.values():
        if isinstance(record, AnonVma) and record.refcount.of(state) != linked.get(record, 0):
            yield (
                f"{_said(record.refcount, state)}, and {linked.get(record, 0)} VMAs "
                "are linked to it"
            )


def _not_stored(world: World, state: int) -> Iterator[str]:
    for page, slot, value in world.to_store:
        if value not in world.mm.past[page, slot].of(state):
            yield f"no program has stored P{page}[{slot}] = {value}, and one was to"


def _said(cell: Cell[Any], state: int) -> str:
    return f"{cell.name} is {cell.text(cell.of(state))}"
