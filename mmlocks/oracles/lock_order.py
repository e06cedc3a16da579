"""The order in which locks are taken, by kinds of locks: a small lockdep.

Two CPUs that take two locks in opposite orders wait for each other for ever if they meet; in most executions they do not. So this
oracle looks at no execution, but at who takes which kind of lock while holding which other (kernel: kernel/locking/lockdep.c). It reads that off the tasks'
automata after a whole search. Reduction loses nothing here: it keeps, of every execution, one with the same results for every task, and
these alone decide what a task does next.

A VMA counts as locked for writing from vma_start_write to the end of mmap_lock's write side, as that is how long readers wait for it.
Linux's lockdep sees the semaphore inside alone, which is given up at once; `Edge.lockdep` says which edges it knows of.
RCU is no lock here: nobody waits to enter a read section.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mmlocks.machine import Layout, Machine, Run, RwSem, SpinLock, Step, Violation
from mmlocks.machine.machine import PC_FIELD
from mmlocks.machine.state import exact
from mmlocks.machine.task import Node, Place, Task
from mmlocks.mm.kernel import one_by_one
from mmlocks.mm.mm_types import Mm, Vma

DOCUMENTED = ("mmap_lock", "vm_lock", "i_mmap_rwsem", "anon_vma", "page_table_lock", "ptl")
"""Outermost first (the comment at the head of mm/rmap.c, and Documentation/mm/process_addrs.rst, "Lock ordering")."""

NESTED = {
    "vm_lock": "one task write-locks many VMAs; it holds mmap_lock for writing, so no two tasks do",
    "ptl": "mremap and fork take a second page's lock with spin_lock_nested, under mmap_lock held for writing",
}
"""Kinds of which one task may hold several, and why that is no cycle (lockdep must be told so, too, with an annotation)."""


class Held(NamedTuple):
    """A lock that a task holds: its kind, which one, in which mode, and where it was taken.

    `real` is false for a VMA that is write-locked: a state, of which lockdep knows nothing. `key` is the cell by which it is known.
    """

    kind: str
    name: str
    writes: bool
    site: str
    real: bool
    key: int

    def __str__(self) -> str:
        mode = "write-locked" if not self.real else "for writing" if self.writes else "for reading"
        return (
            f"{self.name} ({mode})"
            if self.kind.endswith(("lock", "rwsem")) and self.kind != "page_table_lock"
            else self.name
        )


class Edge(NamedTuple):
    """A task took `wanted` while it held `held`, and would have waited for it. `cpu` and `node` are where."""

    held: Held
    wanted: Held
    cpu: int
    node: int = -1

    @property
    def lockdep(self) -> bool:
        """Whether Linux's lockdep would have this edge: it knows semaphores and spinlocks alone."""
        return self.held.real and self.wanted.real

    def __str__(self) -> str:
        return f"cpu{self.cpu} takes {self.wanted} in {self.wanted.site} while it holds {self.held}, taken in {self.held.site}"


@dataclass
class Order:
    """Which kinds of locks were taken while which were held: one edge for each pair, those that lockdep knows preferred."""

    edges: dict[tuple[str, str], Edge] = field(default_factory=dict)

    def add(self, edge: Edge) -> None:
        """Remember an edge, if it is the first of its kind."""
        key = (edge.held.kind, edge.wanted.kind)
        if key not in self.edges or (edge.lockdep and not self.edges[key].lockdep):
            self.edges[key] = edge

    def cycle(self, lockdep: bool = False) -> tuple[Edge, ...]:
        """The shortest cycle, () if there is none; with `lockdep`, made of edges that Linux's lockdep knows."""
        graph: dict[str, dict[str, Edge]] = {}
        for (held, wanted), edge in sorted(self.edges.items()):
            if (held != wanted or held not in NESTED) and (edge.lockdep or not lockdep):
                graph.setdefault(held, {})[wanted] = edge
        ways = [way for start in graph if (way := _way_back(graph, start))]
        return min(ways, key=len, default=())

    def against(self) -> tuple[Edge, ...]:
        """The edges that go against the documented order, whether or not they close a cycle."""
        rank = {kind: number for number, kind in enumerate(DOCUMENTED)}
        return tuple(
            edge
            for (held, wanted), edge in sorted(self.edges.items())
            if held in rank and wanted in rank and rank[held] > rank[wanted]
        )

    def __str__(self) -> str:
        return "\n".join(
            f"{held} -> {wanted}{'' if edge.lockdep else '  (unknown to lockdep)'}: {edge}"
            for (held, wanted), edge in sorted(self.edges.items())
        )


def _way_back(graph: dict[str, dict[str, Edge]], start: str) -> tuple[Edge, ...]:
    """The shortest way along edges from a kind back to itself."""
    queue: deque[tuple[str, tuple[Edge, ...]]] = deque([(start, ())])
    seen: set[str] = set()
    while queue:
        kind, way = queue.popleft()
        for wanted, edge in graph.get(kind, {}).items():
            if wanted == start:
                return (*way, edge)
            if wanted not in seen:
                seen.add(wanted)
                queue.append((wanted, (*way, edge)))
    return ()


def lock_order(machines: Iterable[Machine]) -> Order:
    """The order of locks in all these programs together. Each has been searched whole, so that its automata are complete."""
    order = Order()
    for machine in machines:
        for edge in _edges(machine):
            order.add(edge)
    return order


class Afterwards(NamedTuple):
    """What was found in a machine that had been searched whole, and what shows it: a step of `cpu` in a state that is `reached`."""

    violation: Violation
    reached: Callable[[int], bool]
    cpu: int


def order_is_kept(machine: Machine) -> Afterwards | None:
    """The oracle: no cycle in the order of one program's locks, and nothing against the documented order."""
    order = lock_order([machine])
    cycle, against = order.cycle(), order.against()
    if cycle:
        second = next((edge for edge in cycle if edge in against), cycle[-1])
        kinds = " -> ".join([cycle[0].held.kind, *(edge.wanted.kind for edge in cycle)])
        message = (
            f"lock order {kinds}: {'; '.join(map(str, cycle))}. Two CPUs that do so at once, with the same locks, wait for each other for ever. "
            f"Take them in one order everywhere: {', '.join(DOCUMENTED)}"
        )
    elif against:
        second = against[0]
        message = f"{second}. The order is {', '.join(DOCUMENTED)}: take {second.wanted.kind} before {second.held.kind}"
    else:
        return None
    violation = Violation("lock_order", message)
    return Afterwards(violation, lambda state: _stands_before(machine, state, second), second.cpu)


def _stands_before(machine: Machine, state: int, edge: Edge) -> bool:
    """Whether a state shows an edge: its CPU is about to take the one lock, need not wait for it, and holds the other."""
    layout, held = machine.layout, edge.held
    if state >> layout.pc_shifts[edge.cpu] & PC_FIELD != edge.node:
        return False
    if not isinstance(machine.outcome(state, machine.node(state, edge.cpu), edge.cpu), int):
        return False
    if not held.real:
        vma = layout.records[held.name]
        assert isinstance(vma, Vma)
        return bool(vma.vm_lock_seq.of(state) == vma.vm_mm.mm_lock_seq.of(state))
    owned = layout.cells[held.key].of(state) == edge.cpu + 1
    return bool(owned or (not held.writes and layout.cells[held.key + 1 + edge.cpu].of(state)))


# -- what a task holds ------------------------------------------------------------------------------------------------


class Locks:
    """The locks of a layout by their cells, and what a step does to those that a task holds."""

    def __init__(self, layout: Layout) -> None:
        self.names: dict[int, str] = {}
        self.vmas: dict[int, Vma] = {}
        self.mms: dict[int, Mm] = {}
        for record in layout.records.values():
            if isinstance(record, SpinLock):
                self.names[record.owner.index] = record.name
            elif isinstance(record, RwSem):
                self.names[record.writer.index] = record.name
            elif isinstance(record, Vma):
                self.vmas[record.vm_lock_seq.index] = record
            elif isinstance(record, Mm):
                self.mms[record.mm_lock_seq.index] = record

    def wanted(self, step: Step, site: str) -> tuple[Held, bool] | None:
        """The lock that a step takes, and whether it waits for it."""
        if step.op not in ("spin_lock", "spin_trylock", "down_read", "down_write"):
            return None
        index = step.args[0]
        waits = step.args[1] if step.op.startswith("down") else step.op == "spin_lock"
        name = self.names[index]
        return Held(name.rpartition(".")[2], name, step.op != "down_read", site, True, index), waits

    def after(self, held: tuple[Held, ...], step: Step, result: Any, site: str) -> tuple[Held, ...]:
        """What a task holds after a step (not a `together`) whose result, made exact, was this."""
        taken = self.wanted(step, site)
        if taken is not None:
            again = any(lock.real and lock.key == taken[0].key for lock in held)
            return held if again or result == exact(False) else (*held, taken[0])
        if step.op in ("spin_unlock", "up_read", "up_write"):
            return tuple(lock for lock in held if not (lock.real and lock.key == step.args[0]))
        if step.op == "downgrade_write":
            return tuple(
                lock._replace(writes=lock.writes and lock.key != step.args[0]) for lock in held
            )
        if step.op == "store" and step.args[0] in self.vmas:
            locked = Held("vm_lock", self.vmas[step.args[0]].name, True, site, False, step.args[0])
            return (
                held
                if any(lock[:2] == locked[:2] and not lock.real for lock in held)
                else (*held, locked)
            )
        if step.op == "add" and step.args[0] in self.mms:
            mm = self.mms[step.args[0]]
            return tuple(lock for lock in held if lock.real or self.vmas[lock.key].vm_mm is not mm)
        return held


def kernel_lines(where: tuple[Place, ...]) -> tuple[Place, ...]:
    """The lines along an await chain without those that only link: replaced functions' `together` is taken apart there."""
    return tuple(line for line in where if line.function != one_by_one.__name__)


def site_of(where: tuple[Place, ...]) -> str:
    """`vma_start_write (mm/vma_lock.py:60), called from mmap_region (mm/syscalls/mmap.py:99)`."""
    lines = kernel_lines(where)
    if not lines:
        return "its program"
    inner, *outer = reversed(lines)
    caller = f", called from {outer[0].function} ({outer[0].spot})" if outer else ""
    return f"{inner.function} ({inner.spot}){caller}"


def parts_with_results(step: Step, result: Any) -> list[tuple[Step, Any]]:
    """The parts of a step, each with its own exact result; a step that is not a `together` is its only part."""
    if step.op != "together":
        return [(step, result)]
    results = result[1] if result is not None else (None,) * len(step.args)
    return [
        pair
        for part, own in zip(step.args, results, strict=True)
        for pair in parts_with_results(part, own)
    ]


def follow(
    locks: Locks,
    held: tuple[Held, ...],
    step: Step,
    result: Any,
    where: tuple[Place, ...],
    cpu: int,
    node: int,
) -> tuple[tuple[Held, ...], list[Edge]]:
    """What a task holds after a step, and the edges that the step adds. `result` is exact, or None if no result is known."""
    site, edges = site_of(where), []
    for part, own in parts_with_results(step, result):
        taken = locks.wanted(part, site)
        if taken is not None and taken[1]:
            edges += [Edge(lock, taken[0], cpu, node) for lock in held if lock.key != taken[0].key]
        held = locks.after(held, part, own, site)
    return held, edges


def _edges(machine: Machine) -> Iterator[Edge]:
    locks = Locks(machine.layout)
    for task in machine.tasks:
        yield from _edges_of(locks, task)


def _edges_of(locks: Locks, task: Task) -> Iterator[Edge]:
    """All edges of one task: from its first node on, with what it holds at each."""
    start: tuple[int, tuple[Held, ...]] = (0, ())
    work, seen = [start], {start}
    while work:
        index, held = work.pop()
        node: Node = task.nodes[index]
        if node.step is None:
            continue
        if not node.edges:  # it never came to this step's end: somebody waits here for ever
            yield from follow(locks, held, node.step, None, node.answer.where, task.cpu, index)[1]
        for result, following in node.edges.items():
            after, edges = follow(
                locks, held, node.step, result, node.answer.where, task.cpu, index
            )
            yield from edges
            if (following, after) not in seen:
                seen.add((following, after))
                work.append((following, after))


def order_of_run(run: Run) -> tuple[Order, dict[int, tuple[Held, ...]]]:
    """The order of locks in one execution, and what each CPU holds at its end."""
    machine, locks, order = run.machine, Locks(run.machine.layout), Order()
    holds: dict[int, tuple[Held, ...]] = dict.fromkeys(machine.cpus, ())
    for state, taken in zip(run.states, run.taken, strict=False):
        if taken.violation is not None:
            continue  # a step that did not happen
        where = machine.node(state, taken.cpu).answer.where
        holds[taken.cpu], edges = follow(
            locks, holds[taken.cpu], taken.step, exact(taken.result), where, taken.cpu, -1
        )
        for edge in edges:
            order.add(edge)
    return order, holds
