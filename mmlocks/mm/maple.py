"""The tree of VMAs: which VMA does an address belong to?

Readers hold mmap_lock, or are in an RCU read section. Only a writer of mmap_lock changes the tree.
A change that keeps the number of a node's ranges, as when a boundary moves, is made in place: a
reader sees the old boundary or the new one. Every other change builds a new node and swaps it in.
The old node is marked dead, and freed when all readers who may be looking at it have left.
(Kernel: lib/maple_tree.c.)

Differs: a range that reaches over several leaves is stored leaf by leaf; Linux swaps in one new
subtree. Nodes do not record their largest gap, so a search for a free place looks at every leaf on
its way.
"""

from __future__ import annotations

from typing import Any

from mmlocks.machine import Step, together
from mmlocks.mm.maple_node import END, FEWEST, SLOTS, Level, MapleNode, Ranges
from mmlocks.mm.mm_types import Mm, Vma

# -- reading ----------------------------------------------------------------------------------


async def mas_descend(mm: Mm, address: int) -> tuple[Level, ...]:
    """Walk from the root to the leaf that holds `address`; the nodes on the way, the leaf last.

    A CPU that holds mmap_lock for writing walks in one step: the tree is as it left it.

    Kernel:  lib/maple_tree.c mas_state_walk() and mte_dead_node().
    Locks:   mmap_lock in either mode, or an RCU read section.
    Races:   a writer that replaces a node after we were led to it. What a dead node says is not
             believed. To look at one is allowed only while it cannot have been freed: inside an
             RCU section, or while writers are kept out.
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
            start, node = path[-1].slot_start, path[-1].slot


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
    """The last VMA that starts below `address` (kernel: vma_prev).

    Locks:   mmap_lock in either mode.
    """
    while address > 0:
        leaf = (await mas_descend(mm, address - 1))[-1]
        for vma in reversed(leaf.ranges.slots[: leaf.offset + 1]):
            if vma is not None:
                found: Vma = vma
                return found
        address = leaf.start
    return None


async def for_each_vma(mm: Mm, start: int = 0, end: int = END) -> tuple[Vma, ...]:
    """All VMAs that reach into [start, end), in the order of their addresses.

    Kernel:  include/linux/mm.h for_each_vma_range().
    Locks:   mmap_lock in either mode, which is checked. It keeps the tree as it is, so one step
             can look at all of it.
    Differs: up to 6.4.0 a stack could grow while both held mmap_lock for reading, and be seen half
             way.
    """
    found: tuple[Vma, ...] = await for_each_vma_step(mm, start, end)
    return found


# -- writing ----------------------------------------------------------------------------------


async def vma_iter_store(mm: Mm, start: int, end: int, vma: Vma | None) -> None:
    """Let all addresses of [start, end) lead to `vma`, or nowhere.

    Kernel:  mm/internal.h vma_iter_store(), vma_iter_clear(); lib/maple_tree.c
             mas_store_prealloc().
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
    """The leaf's ranges after [start, end) leads to `entry`.

    Neighbouring ranges that lead to the same thing become one range.
    """
    pieces = [(start, end, entry)]
    low = leaf.start
    for high, slot in zip(leaf.ranges.ends, leaf.ranges.slots, strict=True):
        pieces += [(low, min(high, start), slot), (max(low, end), high, slot)]  # what stays
        low = high
    ends: list[int] = []
    slots: list[Any] = []
    for low, high, slot in sorted(pieces, key=lambda piece: piece[0]):
        if low < high and slots and slots[-1] is slot:
            ends[-1] = high
        elif low < high:
            ends.append(high)
            slots.append(slot)
    return Ranges(tuple(ends), tuple(slots))


async def _rewrite(mm: Mm, path: tuple[Level, ...], new: Ranges) -> None:
    """Give the last node of `path` new ranges.

    In place if the number of ranges stays, or if only the writer knows the tree. Otherwise a new
    node takes the old one's place.
    """
    *above, old = path
    fits = len(new.slots) <= SLOTS and not mm.mm_mt.in_rcu
    if len(new.slots) == len(old.ranges.slots) or fits:
        if new != old.ranges:
            await mas_write(old.node, new)
    elif above:
        await _replace_below(mm, tuple(above), old, new)
    else:
        await _replace_root(mm, old, new)


async def _replace_root(mm: Mm, old: Level, new: Ranges) -> None:
    """Swap in a new root. The tree becomes one level lower or higher if need be."""
    root: MapleNode
    if len(new.slots) == 1 and isinstance(new.slots[0], MapleNode):
        root = new.slots[0]
    else:
        ends, nodes = await _build(mm, new)
        root = nodes[0] if len(nodes) == 1 else await mas_build(mm, Ranges(ends, nodes))
    # One step: a reader that was led to the old root finds in it what was true just now, marked
    # dead or not.
    await together(mm.mm_mt.ma_root.set(root), mas_retire(mm, old.node))


async def _replace_below(mm: Mm, above: tuple[Level, ...], old: Level, new: Ranges) -> None:
    """Swap in new nodes below the last node of `above`.

    Where few ranges are left, a neighbour is replaced along with the old node.
    """
    parent = above[-1].ranges
    first = last = above[-1].offset  # which of the parent's ranges are replaced
    replaced = [old.node]
    if len(new.slots) < FEWEST and len(parent.slots) > 1:
        theirs: Ranges
        if first > 0:
            first -= 1
            replaced.append(parent.slots[first])
            theirs = await mas_read(parent.slots[first])
            new = _joined(theirs, new)
        else:
            last += 1
            replaced.append(parent.slots[last])
            theirs = await mas_read(parent.slots[last])
            new = _joined(new, theirs)
    ends, nodes = await _build(mm, new)
    changed = Ranges(
        (*parent.ends[:first], *ends, *parent.ends[last + 1 :]),
        (*parent.slots[:first], *nodes, *parent.slots[last + 1 :]),
    )
    await _rewrite(mm, above, changed)
    for node in replaced:
        await mas_retire(mm, node)


def _joined(left: Ranges, right: Ranges) -> Ranges:
    """Two neighbouring nodes' ranges as one node's. A VMA or gap that is in both is one range."""
    ends, slots = left.ends, left.slots
    if slots[-1] is right.slots[0]:
        ends, slots = ends[:-1], slots[:-1]
    return Ranges((*ends, *right.ends), (*slots, *right.slots))


async def _build(mm: Mm, new: Ranges) -> tuple[tuple[int, ...], tuple[MapleNode, ...]]:
    """Build one node with these ranges, or two if they are too many: their ends, and the nodes."""
    if len(new.slots) <= SLOTS:
        return new.ends[-1:], (await mas_build(mm, new),)
    half = (len(new.slots) + 1) // 2
    left = await mas_build(mm, Ranges(new.ends[:half], new.slots[:half]))
    right = await mas_build(mm, Ranges(new.ends[half:], new.slots[half:]))
    return (new.ends[half - 1], new.ends[-1]), (left, right)


# -- steps ------------------------------------------------------------------------------------


def mas_walk(mm: Mm, address: int) -> Step:
    """The step that finds the VMA at `address`, or None, in an RCU read section (lib/maple_tree.c).

    It cannot be told from a walk in many steps: the nodes on the way cannot be freed meanwhile,
    and a node that is replaced keeps what it held. So the result was true at some moment of it.
    """
    return Step("mas_walk", (mm, address))


def for_each_vma_step(mm: Mm, start: int, end: int) -> Step:
    """The step inside `for_each_vma`; its result is the tuple of VMAs."""
    return Step("for_each_vma", (mm, start, end))


def mas_start(mm: Mm, address: int) -> Step:
    """The step that begins a walk to the leaf that holds `address`; its result is the root.

    For a caller that keeps all others from changing the tree, the result is the whole way. Such a
    caller holds mmap_lock for writing, or page_table_lock and mmap_lock for reading (stacks grew
    that way up to 6.4.0), or is the only one to know the tree.
    """
    return Step("mas_start", (mm, address))


def mas_read(node: MapleNode) -> Step:
    """The step that looks at a node's ranges."""
    return Step("mas_read", (node,))


def mas_write(node: MapleNode, ranges: Ranges) -> Step:
    """The step that changes a node in place."""
    return Step("mas_write", (node, ranges))


def mas_build(mm: Mm, ranges: Ranges) -> Step:
    """The step that allocates a node with these ranges, unknown to others; returns the node."""
    return Step("mas_build", (mm.mm_mt, ranges))


def mas_retire(mm: Mm, node: MapleNode) -> Step:
    """The step that marks a node dead, and frees it after a grace period. It has left the tree."""
    return Step("mas_retire", (mm.mm_mt, node))
