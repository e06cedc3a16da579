"""What can be done to the VMA tree in one step: to look at a node or change it, or to walk where nobody could tell it from one step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmlocks.errors import ModelError
from mmlocks.machine import Step, View, operation
from mmlocks.machine.step import ViolationSignal, alive, footprint_of, perform, touching
from mmlocks.mm.maple_node import Level, MapleNode, MapleTree, Ranges

if TYPE_CHECKING:
    from mmlocks.mm.mm import Mm
    from mmlocks.mm.vma import Vma


DEEPEST = 8
"""Levels of a tree: sixteen to the eighth is more areas than there are pages."""


def mas_start(mm: Mm, address: int) -> Step:
    """The step that begins a walk to the leaf that holds `address`. Its result is the root; or for whom nobody can change the tree, the whole way.

    That is who holds mmap_lock for writing, or page_table_lock and mmap_lock for reading, as stacks grew up to 6.4.0; or who knows a tree
    of which nobody else knows.
    """
    return Step("mas_start", (mm, address))


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
    ranges: Ranges = alive(view, cpu, node.ranges.index, "reads")
    return ranges


def _way(view: View, cpu: int, tree: MapleTree, address: int) -> tuple[Level, ...]:
    """The way to the leaf that holds an address."""
    path: list[Level] = []
    start, node = 0, view[tree.ma_root.index]
    while isinstance(node, MapleNode):
        if node.tree is not tree:
            raise ModelError(f"{tree} leads to the node {node}, which is another tree's")
        ranges = _read(view, cpu, node)
        path.append(Level(node, start, ranges, ranges.covering(address)))
        if len(path) > DEEPEST:
            raise ModelError(
                f"{tree} leads from node to node more than {DEEPEST} levels down: does it lead to itself?"
            )
        start = ranges.ends[path[-1].offset - 1] if path[-1].offset else start
        node = path[-1].slot
    return tuple(path)


def _start(view: View, cpu: int, mm: Mm, address: int) -> MapleNode | tuple[Level, ...]:
    root: MapleNode = view[mm.mm_mt.ma_root.index]
    tree, lock = mm.mm_mt, mm.mmap_lock
    alone = not tree.in_rcu or view[lock.writer.index] == cpu + 1
    if not alone and view[mm.page_table_lock.owner.index] == cpu + 1:
        alone = bool(view[lock.readers[cpu].index])
    return _way(view, cpu, mm.mm_mt, address) if alone else root


def _walk(view: View, cpu: int, mm: Mm, address: int) -> Vma | None:
    if view[mm.rcu.sections[cpu].index] % 2 == 0:
        raise ViolationSignal(
            "lock_misuse", f"cpu{cpu}: mas_walk outside an RCU read section. Enter one first."
        )
    vma: Vma | None = _way(view, cpu, mm.mm_mt, address)[-1].slot
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
        _, _, ranges, offset = _way(view, cpu, mm.mm_mt, start)[-1]
        for vma, high in zip(ranges.slots[offset:], ranges.ends[offset:], strict=True):
            if high <= start:
                raise ModelError(
                    f"the ranges of {mm.mm_mt} do not go upwards: {high:#x} follows {start:#x}"
                )
            if start < end and vma is not None:
                found[vma] = None
            start = high
    return tuple(found)


def _write(view: View, cpu: int, node: MapleNode, ranges: Ranges) -> None:
    alive(view, cpu, node.ranges.index, "writes")
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
    lambda layout, cpu, mm, address: touching(
        reads=[*_tree_touched(mm), mm.rcu.sections[cpu].index]
    ),
    _walk,
)
operation(
    "for_each_vma",
    lambda layout, cpu, mm, start, end: touching(
        reads=[*_tree_touched(mm), mm.mmap_lock.writer.index, mm.mmap_lock.readers[cpu].index]
    ),
    _all,
)
operation(
    "mas_start",
    lambda layout, cpu, mm, address: touching(
        reads=[
            *_tree_touched(mm),
            mm.mmap_lock.writer.index,
            mm.mmap_lock.readers[cpu].index,
            mm.page_table_lock.owner.index,
        ]
    ),
    _start,
)
operation("mas_read", lambda layout, cpu, node: touching(reads=[node.ranges.index]), _read)
operation(
    "mas_write",
    lambda layout, cpu, node, ranges: touching(
        reads=[node.ranges.index], writes=[node.ranges.index]
    ),
    _write,
)
operation(
    "mas_build",
    lambda layout, cpu, tree, ranges: touching(
        reads=_nodes_touched(tree), writes=_nodes_touched(tree)
    ),
    _build,
)
operation(
    "mas_retire",
    lambda layout, cpu, tree, node: footprint_of(layout, cpu, tree.rcu.call(node)),
    _retire,
)
