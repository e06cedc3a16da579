"""The tree of VMAs in a scene, and which CPUs still use a record."""

from __future__ import annotations

from collections.abc import Iterator

from mmlocks.machine import Run, Step
from mmlocks.machine.state import Record
from mmlocks.mm.maple_node import END, UNBUILT, MapleNode, Ranges
from mmlocks.mm.mm_types import Vma
from mmlocks.mm.world import World
from mmlocks.oracles.holding import objects
from mmlocks.show.scene_parts import (
    NodeState,
    TreeState,
)


def about_to_use(run: Run, record: Record) -> tuple[int, ...]:
    """The CPUs whose next step uses a VMA or a node."""
    cells = objects(run.machine.layout)
    steps = ((cpu, run.machine.node(run.state, cpu).step) for cpu in run.machine.cpus)
    return tuple(cpu for cpu, step in steps if step is not None and _concerns(step, record, cells))


def _concerns(step: Step, record: Record, cells: dict[int, Record]) -> bool:
    return any(
        arg is record
        or (isinstance(record, Vma) and arg is record.vm_lock)
        or (isinstance(arg, Step) and _concerns(arg, record, cells))
        or (step.op in ON_CELLS and place == 0 and cells.get(arg) is record)
        for place, arg in enumerate(step.args)
    )


ON_CELLS = frozenset({"load", "store", "swap", "add", "fetch_add", "wait"})
"""Operations whose first argument is the number of a cell."""


def awaited(world: World, state: int, record: Record) -> tuple[int, ...]:
    """The RCU readers that keep a record from being freed."""
    return next((readers for thing, readers in world.rcu.waiting.of(state) if thing is record), ())


def tree_state(world: World, run: Run) -> TreeState:
    tree, state = world.mm.mm_mt, run.state
    root = tree.ma_root.of(state)
    linked = {id(root)} | {id(below) for below in _inner(root, state)}
    built = [node for node in tree.nodes if node.ranges.of(state) != UNBUILT]
    return TreeState(
        tree.name,
        short(root.name),
        tuple(_node(world, run, node, node is root, id(node) in linked) for node in built),
    )


def short(name: str) -> str:
    """A node's own name."""
    return name.rpartition(".")[2]


def _inner(node: MapleNode, state: int) -> Iterator[MapleNode]:
    found = node.ranges.of(state)
    for slot in found.slots if isinstance(found, Ranges) else ():
        if isinstance(slot, MapleNode):
            yield slot
            yield from _inner(slot, state)


def _node(world: World, run: Run, node: MapleNode, is_root: bool, linked: bool) -> NodeState:
    found = node.ranges.of(run.state)
    ranges: tuple[tuple[str, int | None], ...] = ()
    if not isinstance(found, Ranges):
        state = "freed"
    else:
        in_tree = "root" if is_root else "inner" if linked else "not in the tree yet"
        state = "dead" if found.dead else in_tree
        ranges = tuple(
            ("gap" if slot is None else short(str(slot)), None if end == END else end)
            for end, slot in zip(found.ends, found.slots, strict=True)
        )
    return NodeState(
        short(node.name), state, ranges, about_to_use(run, node), awaited(world, run.state, node)
    )
