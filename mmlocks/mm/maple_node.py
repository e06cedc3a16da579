"""The nodes of the VMA tree.

A node holds up to 16 ranges, gaps included. Each range leads somewhere: from a leaf to a VMA or to
None (a gap), from any other node to a node. (Kernel: struct maple_node of
include/linux/maple_tree.h.)
Differs: a node's ranges are one value, read and written in one step.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Any, Generic, NamedTuple, TypeVar

from mmlocks.machine import Cell, Layout, Rcu, Record, View
from mmlocks.machine.pool import Pool
from mmlocks.machine.rcu import Reclaimable
from mmlocks.machine.state import Poison
from mmlocks.machine.wire import travels

SLOTS = 16
FEWEST = 5
"""A node other than the root with fewer ranges is joined with its neighbour."""
END = 1 << 64
"""The end of the last range: beyond every address."""

UNBUILT = "not allocated yet"

E = TypeVar("E")
"""What the leaves of a tree lead to: VMAs."""


@travels
class Ranges(NamedTuple):
    """What a node holds: range i is [ends[i-1], ends[i]); range 0 begins at the node's start."""

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


@travels
class Level(NamedTuple):
    """One node on the way down to an address.

    It has the node's first address, its ranges as they were then, and the number of the range that
    holds the wanted address.
    """

    node: MapleNode
    start: int
    ranges: Ranges
    offset: int

    @property
    def slot(self) -> Any:
        """Where the range with the wanted address leads to."""
        return self.ranges.slots[self.offset]

    @property
    def slot_start(self) -> int:
        """The first address of that range."""
        return self.ranges.ends[self.offset - 1] if self.offset else self.start


class MapleNode(Reclaimable):
    """One node (kernel: struct maple_node).

    `ranges` holds UNBUILT, then Ranges, then a Poison once the node is freed.
    """

    def __init__(self, tree: MapleTree[Any], layout: Layout, name: str) -> None:
        super().__init__(layout, name)
        self.tree = tree
        self.ranges: Cell[Any] = layout.cell(f"{name}.ranges", UNBUILT, bits=4)
        layout.hide([self.ranges])

    def cells(self) -> Iterable[Cell[Any]]:
        """What `reclaim` changes."""
        return (self.ranges,)

    def reclaim(self, view: View) -> None:
        """Free the node, and poison what it held."""
        view[self.ranges.index] = Poison("freed_node", f"the tree node {self}")
        self.tree.nodes.give_back(self)


class MapleTree(Record, Generic[E]):
    """The tree of one address space. The root is a leaf until it has more than 16 ranges.

    While `in_rcu` is false, only the writer looks at the tree, and rewrites its nodes in place.
    (Kernel: mt_clear_in_rcu, which dup_mmap uses for the child's tree.)

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
        root = MapleNode(self, layout, f"{name}.node0")
        self.nodes.add(root)
        layout.preset(root.ranges, Ranges((END,), (None,)))
        self.ma_root: Cell[MapleNode] = layout.cell(f"{name}.ma_root", root, bits=3)

    def set_aside(self, count: int) -> None:
        """Let a search's writers build `count` new nodes. Before this, no node can be freed."""
        self.nodes.set_aside(count)
        for node in self.nodes:
            self.rcu.may_free(node)

    def contents(self, state: Any) -> list[E]:
        """The VMAs of the tree in a state, in the order of their addresses."""
        found = _below(self.ma_root.of(state), state)
        return list(dict.fromkeys(vma for vma in found if vma is not None))


def _below(node: MapleNode, state: Any) -> Iterable[Any]:
    for slot in node.ranges.of(state).slots:
        if isinstance(slot, MapleNode):
            yield from _below(slot, state)
        else:
            yield slot
