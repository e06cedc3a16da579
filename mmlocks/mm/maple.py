"""The tree of VMAs: which VMA an address belongs to, for readers who hold mmap_lock, or nothing but an RCU read section.

A node holds up to 16 ranges, gaps among them, each with what it leads to: in a leaf a VMA or None, further up another node. Nobody
but a writer of mmap_lock changes the tree. A change that leaves a node with the same ranges but for one boundary is made in
place: a reader sees the old boundary or the new one. Every other change builds a new node and swaps it in; the old one is marked
dead, and freed when all readers who may be looking at it have left. (Kernel: lib/maple_tree.c.)

Differs: a node's ranges are read in one step. A range that reaches over several leaves is stored leaf by leaf, where Linux swaps in one
new subtree. Nodes do not record their largest gap, so that finding a free place looks at every leaf on its way.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from mmlocks.machine import Cell, Layout, Rcu, Record, Step, View, operation
from mmlocks.machine.pool import Pool
from mmlocks.machine.rcu import Reclaimable
from mmlocks.machine.step import ViolationSignal, footprint_of, perform, touching
from mmlocks.machine.wire import travels

if TYPE_CHECKING:
    from mmlocks.mm.mm import Mm
    from mmlocks.mm.vma import Vma

SLOTS = 16
FEWEST = 5
"""A node other than the root with fewer ranges is joined with its neighbour."""
END = 1 << 64
"""The end of the last range: beyond every address."""

UNBUILT, POISONED = "not allocated yet", "freed"


@travels
class Ranges(NamedTuple):
    """What a node holds: range i goes from ends[i-1] (or the node's own start) up to, not including, ends[i]."""

    ends: tuple[int, ...]
    slots: tuple[Any, ...]
    dead: bool = False

    def __str__(self) -> str:
        """`heap up to 0x5000, gap up to 0x7000, stack up to 0x8000`."""
        parts = (
            f"{slot or 'gap'} up to {'the end' if end == END else f'{end:#x}'}"
            for end, slot in zip(self.ends, self.slots, strict=True)
        )
        return ("dead, " if self.dead else "") + ", ".join(parts)

    def covering(self, address: int) -> int:
        """The number of the range that holds `address`."""
        return bisect_right(self.ends, address)


class MapleNode(Reclaimable):
    """One node (kernel: struct maple_node). `ranges` holds UNBUILT, Ranges, or, once the node is freed, POISONED."""

    def __init__(self, tree: MapleTree, layout: Layout, name: str) -> None:
        super().__init__(layout, name)
        self._tree = tree
        self.ranges: Cell[Any] = layout.cell(f"{name}.ranges", UNBUILT, bits=4)
        layout.hide([self.ranges])

    def cells(self) -> Iterable[Cell[Any]]:
        """What `reclaim` changes."""
        return (self.ranges,)

    def reclaim(self, view: View) -> None:
        """Free the node, and poison what it held."""
        view[self.ranges.index] = POISONED
        self._tree.nodes.give_back(self)


class MapleTree(Record):
    """The tree of one address space. The root is a leaf until it has more than 16 ranges.

    While `in_rcu` is false, nobody but its writer looks at the tree, and nodes are rewritten in place. (Kernel: mt_clear_in_rcu,
    which dup_mmap uses for the child's tree.)

    Fields and what protects them:
      ma_root   writes: mmap_lock for writing; reads: mmap_lock, or an RCU read section
      nodes     the same
    """

    def __init__(self, layout: Layout, rcu: Rcu, name: str, in_rcu: bool = True) -> None:
        super().__init__(layout, name)
        self.layout = layout
        self.in_rcu = in_rcu
        self.rcu = rcu
        self.nodes: Pool[MapleNode] = Pool(
            layout,
            f"node of {name}",
            lambda number: MapleNode(self, layout, f"{name}.node{number}"),
            lambda view, node: view[node.ranges.index] == UNBUILT,
        )
        root = MapleNode(self, layout, f"{name}.root")
        self.nodes.add(root)
        layout.preset(root.ranges, Ranges((END,), (None,)))
        self.ma_root: Cell[MapleNode] = layout.cell(f"{name}.ma_root", root, bits=3)

    def set_aside(self, count: int) -> None:
        """Let writers build `count` new nodes in the course of a search. Until this is said, nothing can be freed, either."""
        self.nodes.set_aside(count)
        for node in self.nodes:
            self.rcu.may_free(node)

    def contents(self, state: Any) -> list[Vma]:
        """The VMAs of the tree in a state, in the order of their addresses."""
        return list(dict.fromkeys(vma for vma in _below(self.ma_root.of(state), state) if vma is not None))


def _below(node: MapleNode, state: Any) -> Iterable[Vma | None]:
    for slot in node.ranges.of(state).slots:
        if isinstance(slot, MapleNode):
            yield from _below(slot, state)
        else:
            yield slot


class Level(NamedTuple):
    """One node on the way down: its first address, its ranges as they were then, and the range with the wanted address."""

    node: MapleNode
    start: int
    ranges: Ranges
    offset: int

    @property
    def slot(self) -> Any:
        """Where the wanted address leads to."""
        return self.ranges.slots[self.offset]


# -- reading ----------------------------------------------------------------------------------------------------------


async def mas_descend(mm: Mm, address: int) -> tuple[Level, ...]:
    """Walk from the root to the leaf that holds `address`, node by node; all of them, the leaf last.

    Kernel:  lib/maple_tree.c mas_state_walk() and mte_dead_node().
    Locks:   mmap_lock in either mode, or an RCU read section.
    Races:   a writer that replaces a node after we were led to it. What a dead node says is not believed; but it may only be looked at
             while it cannot have been freed: inside an RCU section, or while writers are kept out.
    """
    while True:
        path: tuple[Level, ...] = ()
        start, node = 0, await mm.mm_mt.ma_root
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
    found: tuple[Vma, ...] = await Step("for_each_vma", (mm, start, end))
    return found


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
        await mm.mm_mt.ma_root.set(new.slots[0])  # the tree becomes one level lower
        await mas_retire(mm, old.node)
        return
    retired, first, last = [old.node], 0, 0  # `first` and `last`: which of the parent's ranges are replaced
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
    parts = [new] if len(new.slots) <= SLOTS else [_cut(new, 0, half), _cut(new, half, len(new.slots))]
    built = tuple([await mas_build(mm, part) for part in parts])
    ends = tuple(part.ends[-1] for part in parts)
    if above:
        kept = above[-1].ranges
        ends = (*kept.ends[:first], *ends, *kept.ends[last + 1 :])
        await _rewrite(mm, tuple(above), Ranges(ends, (*kept.slots[:first], *built, *kept.slots[last + 1 :])))
    else:
        root = built[0] if len(built) == 1 else await mas_build(mm, Ranges(ends, built))
        await mm.mm_mt.ma_root.set(root)
    for node in retired:
        await mas_retire(mm, node)


def _joined(left: Ranges, right: Ranges) -> Ranges:
    """Two neighbouring nodes' ranges; what reaches from one into the other becomes one range."""
    skip = left.slots[-1] is right.slots[0] and not isinstance(right.slots[0], MapleNode)
    return Ranges((*left.ends[: len(left.ends) - skip], *right.ends), (*left.slots, *right.slots[skip:]))


def _cut(ranges: Ranges, first: int, last: int) -> Ranges:
    return Ranges(ranges.ends[first:last], ranges.slots[first:last])


# -- steps ------------------------------------------------------------------------------------------------------------


def mas_read(node: MapleNode) -> Step:
    """The step that looks at a node's ranges."""
    return Step("mas_read", (node,))


def mas_write(node: MapleNode, ranges: Ranges) -> Step:
    """The step that moves a boundary of a node in place."""
    return Step("mas_write", (node, ranges))


def mas_build(mm: Mm, ranges: Ranges) -> Step:
    """The step that allocates a node with these ranges, of which nobody knows yet. Its result is the node."""
    return Step("mas_build", (mm.mm_mt, ranges))


def mas_retire(mm: Mm, node: MapleNode) -> Step:
    """The step that marks a node dead, to which nothing leads any more, and has it freed after a grace period."""
    return Step("mas_retire", (mm.mm_mt, node))


def _read(view: View, cpu: int, node: MapleNode) -> Ranges:
    ranges: Ranges = view[node.ranges.index]
    if not isinstance(ranges, Ranges):
        raise ViolationSignal("freed_node", f"cpu{cpu}: reads the tree node {node}, which is {ranges}")
    return ranges


def _leaf(view: View, cpu: int, tree: MapleTree, address: int) -> tuple[Ranges, int]:
    """The leaf that holds an address, and which of its ranges."""
    node = view[tree.ma_root.index]
    while True:
        ranges = _read(view, cpu, node)
        offset = ranges.covering(address)
        if not isinstance(ranges.slots[offset], MapleNode):
            return ranges, offset
        node = ranges.slots[offset]


def _walk(view: View, cpu: int, mm: Mm, address: int) -> Vma | None:
    if view[mm.rcu.sections[cpu].index] % 2 == 0:
        raise ViolationSignal(
            "lock_misuse", f"cpu{cpu}: mas_walk outside an RCU read section. Enter one first."
        )
    ranges, offset = _leaf(view, cpu, mm.mm_mt, address)
    vma: Vma | None = ranges.slots[offset]
    return vma


def _all(view: View, cpu: int, mm: Mm, start: int, end: int) -> tuple[Vma, ...]:
    lock = mm.mmap_lock
    if view[lock.writer.index] != cpu + 1 and not view[lock.readers[cpu].index]:
        raise ViolationSignal(
            "lock_misuse",
            f"cpu{cpu}: for_each_vma({mm}) without mmap_lock. Take mmap_write_lock({mm}) first.",
        )
    found: dict[Vma, None] = {}  # a VMA may show up in two neighbouring leaves
    while start < end:
        ranges, offset = _leaf(view, cpu, mm.mm_mt, start)
        for vma, high in zip(ranges.slots[offset:], ranges.ends[offset:], strict=True):
            if start < end and vma is not None:
                found[vma] = None
            start = high
    return tuple(found)


def _write(view: View, cpu: int, node: MapleNode, ranges: Ranges) -> None:
    if not isinstance(view[node.ranges.index], Ranges):
        raise ViolationSignal(
            "freed_node", f"cpu{cpu}: writes to the tree node {node}, which is {view[node.ranges.index]}"
        )
    view[node.ranges.index] = ranges


def _build(view: View, cpu: int, tree: MapleTree, ranges: Ranges) -> MapleNode:
    node = tree.nodes.take(view, cpu)
    view[node.ranges.index] = ranges
    return node


def _retire(view: View, cpu: int, tree: MapleTree, node: MapleNode) -> None:
    view[node.ranges.index] = _read(view, cpu, node)._replace(dead=True)
    perform(view, cpu, tree.rcu.call(node))


def _nodes_touched(tree: MapleTree) -> list[int]:
    return [node.ranges.index for node in tree.nodes]


def _tree_touched(mm: Mm) -> list[int]:
    return [mm.mm_mt.ma_root.index, *_nodes_touched(mm.mm_mt)]


operation(
    "mas_walk",
    lambda layout, cpu, mm, address: touching(reads=[*_tree_touched(mm), mm.rcu.sections[cpu].index]),
    _walk,
)
operation(
    "for_each_vma",
    lambda layout, cpu, mm, start, end: touching(
        reads=[*_tree_touched(mm), mm.mmap_lock.writer.index, mm.mmap_lock.readers[cpu].index]
    ),
    _all,
)
operation("mas_read", lambda layout, cpu, node: touching(reads=[node.ranges.index]), _read)
operation(
    "mas_write",
    lambda layout, cpu, node, ranges: touching(reads=[node.ranges.index], writes=[node.ranges.index]),
    _write,
)
operation(
    "mas_build",
    lambda layout, cpu, tree, ranges: touching(reads=_nodes_touched(tree), writes=_nodes_touched(tree)),
    _build,
)
operation(
    "mas_retire", lambda layout, cpu, tree, node: footprint_of(layout, cpu, tree.rcu.call(node)), _retire
)
