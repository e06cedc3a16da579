"""The tree of VMAs: which VMA an address belongs to, for readers who hold mmap_lock, or nothing but an RCU read section.

Nobody but a writer of mmap_lock changes the tree. A change that leaves a node with as many ranges as before, as when a boundary moves, is
made in place: a reader sees the old boundary or the new one. Every other change builds a new node and swaps it in; the old one is marked
dead, and freed when all readers who may be looking at it have left. (Kernel: lib/maple_tree.c.)

Differs: a range that reaches over several leaves is stored leaf by leaf, where Linux swaps in one new subtree. Nodes do not
record their largest gap, so that finding a free place looks at every leaf on its way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmlocks.machine import Step, together
from mmlocks.mm.maple_node import END, FEWEST, SLOTS, Level, MapleNode, Ranges
from mmlocks.mm.maple_steps import mas_build, mas_read, mas_retire, mas_start, mas_write

if TYPE_CHECKING:
    from mmlocks.mm.mm import Mm
    from mmlocks.mm.vma import Vma


# -- reading ----------------------------------------------------------------------------------------------------------


async def mas_descend(mm: Mm, address: int) -> tuple[Level, ...]:
    """Walk from the root to the leaf that holds `address`, node by node; all of them, the leaf last.

    Kernel:  lib/maple_tree.c mas_state_walk() and mte_dead_node().
    Locks:   mmap_lock in either mode, or an RCU read section.
    Races:   a writer that replaces a node after we were led to it. What a dead node says is not believed; but it may only be looked at
             while it cannot have been freed: inside an RCU section, or while writers are kept out.

    Whoever holds mmap_lock for writing walks in one step: the tree is as it left it.
    """
    while True:
        path: tuple[Level, ...] = ()
        root: MapleNode | tuple[Level, ...] = await mas_start(mm, address)
        if not isinstance(root, MapleNode):
            return root
        start, node = 0, root
        while True:
            ranges: Ranges = await mas_read(node)
            if ranges.dead:
                break
            path = (*path, Level(node, start, ranges, ranges.covering(address)))
            if not isinstance(path[-1].slot, MapleNode):
                return path
            node = path[-1].slot
            start = ranges.ends[path[-1].offset - 1] if path[-1].offset else start


def mas_walk(mm: Mm, address: int) -> Step:
    """The step that finds the VMA at `address`, or None, inside an RCU read section (lib/maple_tree.c mas_walk).

    It is one step because nobody could tell: the nodes on the way cannot be freed meanwhile, and one that is replaced keeps what it held
    until then. So what is found was true at one moment of the walk.
    """
    return Step("mas_walk", (mm, address))


async def find_vma(mm: Mm, address: int) -> Vma | None:
    """The first VMA that ends above `address`; it need not contain it (mm/mmap.c find_vma).

    Locks:   mmap_lock in either mode.
    """
    while address < END:
        leaf = (await mas_descend(mm, address))[-1]
        for vma in leaf.ranges.slots[leaf.offset :]:
            if vma is not None:
                found: Vma = vma
                return found
        address = leaf.ranges.ends[-1]
    return None


async def find_vma_before(mm: Mm, address: int) -> Vma | None:
    """The last VMA that starts below `address` (kernel: vma_prev). Locks as find_vma."""
    while address > 0:
        leaf = (await mas_descend(mm, address - 1))[-1]
        for vma in reversed(leaf.ranges.slots[: leaf.offset + 1]):
            if vma is not None:
                found: Vma = vma
                return found
        address = leaf.start
    return None


async def for_each_vma(mm: Mm, start: int = 0, end: int = END) -> tuple[Vma, ...]:
    """All VMAs that reach into [start, end), in the order of their addresses (include/linux/mm.h for_each_vma_range).

    Locks:   mmap_lock in either mode, which is checked. It keeps the tree as it is, so that looking at all of it is one step.
    Differs: up to 6.4.0 a stack could grow under mmap_lock held for reading by both, and be seen half way.
    """
    found: tuple[Vma, ...] = await for_each_vma_step(mm, start, end)
    return found


def for_each_vma_step(mm: Mm, start: int, end: int) -> Step:
    """The step inside `for_each_vma`; its result is the tuple of VMAs."""
    return Step("for_each_vma", (mm, start, end))


# -- writing ----------------------------------------------------------------------------------------------------------


async def vma_iter_store(mm: Mm, start: int, end: int, vma: Vma | None) -> None:
    """Let all addresses of [start, end) lead to `vma`, or nowhere.

    Kernel:  mm/internal.h vma_iter_store(), lib/maple_tree.c mas_store_prealloc().
    Locks:   mmap_lock for writing.
    Races:   RCU readers, who find each address as it was before or as it is after.
    """
    while start < end:
        path = await mas_descend(mm, start)
        leaf = path[-1]
        stop = min(end, leaf.ranges.ends[-1])
        await _rewrite(mm, path, spliced(leaf, start, stop, vma))
        start = stop


def spliced(leaf: Level, start: int, end: int, entry: Any) -> Ranges:
    """The leaf's ranges once [start, end) leads to `entry`. Neighbours that lead to the same become one range."""
    ends: list[int] = []
    slots: list[Any] = []

    def put(low: int, high: int, slot: Any) -> None:
        if low >= high:
            return
        if slots and slots[-1] is slot:
            ends[-1] = high
        else:
            ends.append(high)
            slots.append(slot)

    low, placed = leaf.start, False
    for high, slot in zip(leaf.ranges.ends, leaf.ranges.slots, strict=True):
        put(low, min(high, start), slot)
        if high >= end and not placed:
            put(start, end, entry)
            placed = True
        put(max(low, end), high, slot)
        low = high
    return Ranges(tuple(ends), tuple(slots))


async def _rewrite(mm: Mm, path: tuple[Level, ...], new: Ranges) -> None:
    """Give the last node of `path` new ranges: in place if one boundary moved, by new nodes and a change further up otherwise."""
    *above, old = path
    fits = len(new.slots) <= SLOTS and not mm.mm_mt.in_rcu
    if len(new.slots) == len(old.ranges.slots) or fits:
        if new != old.ranges:
            await mas_write(old.node, new)
        return
    if not above and len(new.slots) == 1 and isinstance(new.slots[0], MapleNode):
        # The tree becomes one level lower.
        await together(mm.mm_mt.ma_root.set(new.slots[0]), mas_retire(mm, old.node))
        return
    retired, first, last = (
        [old.node],
        0,
        0,
    )  # `first` and `last`: which of the parent's ranges are replaced
    if above:
        parent = above[-1]
        first = last = parent.offset
        if len(new.slots) < FEWEST and len(parent.ranges.slots) > 1:
            neighbour = parent.offset - 1 if parent.offset else 1
            beside: MapleNode = parent.ranges.slots[neighbour]
            theirs: Ranges = await mas_read(beside)
            new = _joined(theirs, new) if neighbour < parent.offset else _joined(new, theirs)
            first, last = min(first, neighbour), max(last, neighbour)
            retired.append(beside)
    half = (len(new.slots) + 1) // 2
    parts = (
        [new] if len(new.slots) <= SLOTS else [_cut(new, 0, half), _cut(new, half, len(new.slots))]
    )
    built: tuple[MapleNode, ...] = ()
    for part in parts:
        built = (*built, await mas_build(mm, part))
    ends = tuple(part.ends[-1] for part in parts)
    if above:
        kept = above[-1].ranges
        ends = (*kept.ends[:first], *ends, *kept.ends[last + 1 :])
        await _rewrite(
            mm, tuple(above), Ranges(ends, (*kept.slots[:first], *built, *kept.slots[last + 1 :]))
        )
    else:
        root = built[0] if len(built) == 1 else await mas_build(mm, Ranges(ends, built))
        # Whoever was led to the old root finds in it what was true just now; whether it is marked already makes no difference.
        await together(mm.mm_mt.ma_root.set(root), mas_retire(mm, old.node))
        return
    for node in retired:
        await mas_retire(mm, node)


def _joined(left: Ranges, right: Ranges) -> Ranges:
    """Two neighbouring nodes' ranges; what reaches from one into the other becomes one range."""
    skip = left.slots[-1] is right.slots[0] and not isinstance(right.slots[0], MapleNode)
    return Ranges(
        (*left.ends[: len(left.ends) - skip], *right.ends), (*left.slots, *right.slots[skip:])
    )


def _cut(ranges: Ranges, first: int, last: int) -> Ranges:
    return Ranges(ranges.ends[first:last], ranges.slots[first:last])
