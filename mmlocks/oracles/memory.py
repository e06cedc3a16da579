"""What a program may rely on: memory holds what was stored, and fork makes a real copy."""

from __future__ import annotations

from itertools import combinations, product

from mmlocks.machine import Violation
from mmlocks.mm.address import word
from mmlocks.mm.mm_types import Mm
from mmlocks.mm.world import World


def memory_is_what_was_stored(world: World, state: int) -> Violation | None:
    """Read-your-writes: what the page table maps equals the completed stores."""
    for page in world.pages:
        stored, found = world.truth(state, page), world.content(world.mm, state, page)
        for slot in range(world.slots):
            if stored[slot] != found[slot]:
                return Violation(
                    "lost_store",
                    f"at the end {word(page, slot)} is {found[slot]}, but the last completed store "
                    f"there wrote {stored[slot]}: the store was lost",
                )
    return None


def snapshot_is_one_moment(world: World, state: int) -> Violation | None:
    """The child's memory equals the parent's after some number of completed stores, in their order.

    Where a scenario keeps no history, each word is judged alone: it must hold a value that it once
    had in the parent.
    """
    found = (_one_moment(world, state, child) for child in world.children)
    return next(filter(None, found), None)


def _one_moment(world: World, state: int, space: Mm) -> Violation | None:
    child = {page: world.content(space, state, page) for page in world.pages}
    parents, childs = (
        [(vma.vm_start.of(state), vma.vm_end.of(state)) for vma in mm.mm_mt.contents(state)]
        for mm in (world.mm, space)
    )
    if not childs:
        return Violation(
            "snapshot", "the child has no VMAs at all: it was never given an address space"
        )
    if parents != childs:
        return Violation(
            "snapshot", f"the child has {len(childs)} VMAs and its parent {len(parents)}"
        )
    moment = {page: world.truth(world.layout.initial, page) for page in world.pages}
    if world.mm.history is None:
        for page in world.pages:
            for slot in range(world.slots):
                if child[page][slot] not in world.mm.past[page, slot].of(state):
                    return Violation(
                        "snapshot",
                        f"the child's {word(page, slot)} is {child[page][slot]}, "
                        "which it never was",
                    )
        return None
    stores = world.mm.history.of(state)
    if child == moment:
        return None
    for page, slot, value in stores:
        moment[page] = (*moment[page][:slot], value, *moment[page][slot + 1 :])
        if child == moment:
            return None
    order = (
        ", then ".join(f"{word(page, slot)} = {value}" for page, slot, value in stores) or "nothing"
    )
    sees = ", ".join(f"P{page} = {' '.join(map(str, values))}" for page, values in child.items())
    return Violation(
        "snapshot",
        f"the child sees {sees}. Its parent stored {order}, and at no moment did its memory look "
        "like that: the snapshot is torn",
    )


def isolated(world: World, state: int) -> Violation | None:
    """No frame that two address spaces map can be written through either page table."""
    for page, (mm, other) in product(world.pages, combinations(world.spaces, 2)):
        mine, yours = (each.page_table.pte[page].of(state) for each in (mm, other))
        if mine is None or yours is None or mine.frame is not yours.frame:
            continue
        if mine.write or yours.write:
            writer = ("parent" if mm is world.mm else str(mm)) if mine.write else str(other)
            return Violation(
                "isolation",
                f"at the end the {writer} can write to {mine.frame} (P{page}), "
                "which the other one maps as well",
            )
    return None


def translations_are_current(world: World, state: int) -> Violation | None:
    """Every cached translation is one that the page table would give now."""
    known = ((mm, *each) for mm in world.spaces for each in mm.tlb.cached.items())
    for mm, (cpu, page), cell in known:
        cached, current = cell.of(state), mm.page_table.pte[page].of(state)
        if cached is not None and (
            current is None or cached not in (current, current.wrprotected())
        ):
            return Violation(
                "stale_translation",
                f"at the end cpu{cpu}'s TLB still says {mm.page_table.pte[page]} is {cached}, but "
                f"the page table says {current or 'not present'}: it was not flushed",
            )
    return None
