"""What the steps of the VMA tree do: look at a node, change it, or walk all the way.

A whole walk is one step only where its caller could not tell it from many (see mas_start).
"""

from __future__ import annotations

from typing import Any

from mmlocks.errors import ModelError
from mmlocks.machine import View, operation
from mmlocks.machine.step import ViolationSignal, alive, footprint_of, perform, touching
from mmlocks.mm.maple_node import Level, MapleNode, MapleTree, Ranges
from mmlocks.mm.mm_types import Mm, Vma

DEEPEST = 8
"""Levels of a tree: sixteen to the eighth is more areas than there are pages."""


def _read(view: View, cpu: int, node: MapleNode) -> Ranges:
    ranges: Ranges = alive(view, cpu, node.ranges.index, "reads")
    return ranges


def _way(view: View, cpu: int, tree: MapleTree[Any], address: int) -> tuple[Level, ...]:
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
                f"{tree} leads from node to node more than {DEEPEST} levels down: "
                "does it lead to itself?"
            )
        start, node = path[-1].slot_start, path[-1].slot
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


def _build(view: View, cpu: int, tree: MapleTree[Any], ranges: Ranges) -> MapleNode:
    node = tree.nodes.take(view, cpu)
    view[node.ranges.index] = ranges
    return node


def _retire(view: View, cpu: int, tree: MapleTree[Any], node: MapleNode) -> None:
    view[node.ranges.index] = _read(view, cpu, node)._replace(dead=True)
    perform(view, cpu, tree.rcu.call(node))


def _nodes_touched(tree: MapleTree[Any]) -> list[int]:
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
