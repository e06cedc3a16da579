"""The order in which locks are taken, by kinds of locks: a small lockdep.

Two CPUs that take two locks in opposite orders can wait for each other for ever; in most executions
they do not meet. So this oracle looks at no single execution. It asks which kind of lock a task
takes while it holds which other (kernel: kernel/locking/lockdep.c), and reads that off the tasks'
automata after a whole search. Reduction loses nothing here: for every execution it keeps one with
the same results for every task, and these alone decide what a task does next.

A VMA counts as locked for writing from vma_start_write to the end of mmap_lock's write side, as
that is how long readers wait for it. Linux's lockdep sees only the semaphore inside, which is given
up at once; `Dependency.lockdep` says which dependencies it knows. RCU is not a lock here: entering
a read section never waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mmlocks.machine import Layout, Machine, Run, RwSem, SpinLock, Step, Violation
from mmlocks.machine.machine import PC_FIELD
from mmlocks.machine.task import Node, Place, Task
from mmlocks.machine.values import exact
from mmlocks.mm.kernel import one_by_one
from mmlocks.mm.mm_types import Mm, Vma

DOCUMENTED = ("mmap_lock", "vm_lock", "i_mmap_rwsem", "anon_vma", "page_table_lock", "ptl")
"""Outermost first.

Source: the comment at the head of mm/rmap.c, and Documentation/mm/process_addrs.rst, "Lock
ordering".
"""

NESTED = {
    "vm_lock": "one task write-locks many VMAs; it holds mmap_lock for writing, so no two tasks do",
    "ptl": "mremap and fork take a second page's lock with spin_lock_nested, "
    "under mmap_lock held for writing",
}
"""Kinds of which one task may hold several, and why that is not a cycle.

lockdep must be told so, too, with an annotation.
"""


class HeldLock(NamedTuple):
    """A lock that a task holds or takes: its kind, its name, its mode, and where it was taken.

    `real` is false for a VMA that is write-locked: that is a state, which lockdep does not know.
    `key` is the cell that identifies the lock.
    """

    kind: str
    name: str
    writes: bool
    site: str
    real: bool
    key: int

    def __str__(self) -> str:
        if not self.kind.endswith(("lock", "rwsem")) or self.kind == "page_table_lock":
            return self.name  # a spinlock: it has one mode
        mode = "write-locked" if not self.real else "for writing" if self.writes else "for reading"
        return f"{self.name} ({mode})"


class Dependency(NamedTuple):
    """A task took `wanted` while it held `held`, and would have waited for it.

    `cpu` and `node` say where.
    """

    held: HeldLock
    wanted: HeldLock
    cpu: int
    node: int = -1

    @property
    def lockdep(self) -> bool:
        """Whether Linux's lockdep would know of this: it knows semaphores and spinlocks alone."""
        return self.held.real and self.wanted.real

    def __str__(self) -> str:
        return (
            f"cpu{self.cpu} takes {self.wanted} in {self.wanted.site} while it holds {self.held}, "
            f"taken in {self.held.site}"
        )


@dataclass
class LockOrder:
    """Which kinds of locks were taken while which were held: a graph of kinds.

    `edges` has one dependency for each pair of kinds; those that lockdep knows are preferred.
    """

    edges: dict[tuple[str, str], Dependency] = field(default_factory=dict)

    def add(self, edge: Dependency) -> None:
        """Remember a dependency, if it is the first of its kinds."""
        key = (edge.held.kind, edge.wanted.kind)
        if key not in self.edges or (edge.lockdep and not self.edges[key].lockdep):
            self.edges[key] = edge

    def cycle(self, lockdep: bool = False) -> tuple[Dependency, ...]:
        """The shortest cycle, or (); with `lockdep`, of dependencies that Linux's lockdep knows."""
        graph: dict[str, dict[str, Dependency]] = {}
        for (held, wanted), edge in sorted(self.edges.items()):
            if (held != wanted or held not in NESTED) and (edge.lockdep or not lockdep):
                graph.setdefault(held, {})[wanted] = edge
        ways = [way for start in graph if (way := _way_back(graph, start))]
        return min(ways, key=len, default=())

    def against(self) -> tuple[Dependency, ...]:
        """The dependencies that go against the documented order, whether or not in a cycle."""
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


def _way_back(graph: dict[str, dict[str, Dependency]], start: str) -> tuple[Dependency, ...]:
    """The shortest way along dependencies from a kind back to itself."""
    queue: deque[tuple[str, tuple[Dependency, ...]]] = deque([(start, ())])
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


def lock_order(machines: Iterable[Machine]) -> LockOrder:
    """The order of locks in all these programs together.

    Each must have been searched whole, so that its automata are complete.
    """
    order = LockOrder()
    for machine in machines:
        for edge in dependencies(machine):
            order.add(edge)
    return order


class Afterwards(NamedTuple):
    """What was found in a machine that had been searched whole, and what shows it.

    That is the step of `cpu` in a state that is `reached`.
    """

    violation: Violation
    reached: Callable[[int], bool]
    cpu: int


def order_is_kept(machine: Machine) -> Afterwards | None:
    """The oracle: the order of one program's locks has no cycle, and is the documented one."""
    order = lock_order([machine])
    cycle, against = order.cycle(), order.against()
    if cycle:
        second = next((edge for edge in cycle if edge in against), cycle[-1])
        kinds = " -> ".join([cycle[0].held.kind, *(edge.wanted.kind for edge in cycle)])
        message = (
            f"lock order {kinds}: {'; '.join(map(str, cycle))}. Two CPUs that do so at once, with "
            "the same locks, wait for each other for ever. Take them in one order everywhere: "
            f"{', '.join(DOCUMENTED)}"
        )
    elif against:
        second = against[0]
        message = (
            f"{second}. The order is {', '.join(DOCUMENTED)}: take {second.wanted.kind} before "
            f"{second.held.kind}"
        )
    else:
        return None
    violation = Violation("lock_order", message)
    return Afterwards(violation, lambda state: _shows(machine, state, second), second.cpu)


def _shows(machine: Machine, state: int, edge: Dependency) -> bool:
    """Whether the CPU of a dependency is about to take the one lock, and holds the other.

    It must not have to wait for it.
    """
    layout, held = machine.layout, edge.held
    if state >> layout.pc_shifts[edge.cpu] & PC_FIELD != edge.node:
        return False
    if not isinstance(machine.after(state, edge.cpu), int):
        return False
    if not held.real:
        vma = layout.records[held.name]
        assert isinstance(vma, Vma)
        return bool(vma.vm_lock_seq.of(state) == vma.vm_mm.mm_lock_seq.of(state))
    owned = layout.cells[held.key].of(state) == edge.cpu + 1
    return bool(owned or (not held.writes and layout.cells[held.key + 1 + edge.cpu].of(state)))


# -- what a task holds -------------------------------------------------------------------------


class LockTracker:
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

    def wanted(self, step: Step, site: str) -> tuple[HeldLock, bool] | None:
        """The lock that a step takes, and whether it waits for it."""
        if step.op not in ("spin_lock", "spin_trylock", "down_read", "down_write"):
            return None
        key = step.args[0]
        waits = step.args[1] if step.op.startswith("down") else step.op == "spin_lock"
        name = self.names[key]
        kind = name.rpartition(".")[2]
        return HeldLock(kind, name, step.op != "down_read", site, True, key), waits

    def after(
        self, held: tuple[HeldLock, ...], step: Step, result: Any, site: str
    ) -> tuple[HeldLock, ...]:
        """What a task holds after a step (not a `together`) with this result, made exact."""
        key = step.args[0] if step.args else None
        taken = self.wanted(step, site)
        if taken is not None:
            failed = result == exact(False)
            return held if failed else _with(held, taken[0])
        if step.op in ("spin_unlock", "up_read", "up_write"):
            return tuple(lock for lock in held if lock.key != key)
        if step.op == "downgrade_write":
            return tuple(lock._replace(writes=False) if lock.key == key else lock for lock in held)
        if step.op == "store" and key in self.vmas:  # vma_start_write sets vm_lock_seq
            name = self.vmas[key].name
            return _with(held, HeldLock("vm_lock", name, True, site, False, key))
        if step.op == "add" and key in self.mms:  # vma_end_write_all raises mm_lock_seq
            unlocked = {index for index, vma in self.vmas.items() if vma.vm_mm is self.mms[key]}
            return tuple(lock for lock in held if lock.key not in unlocked)
        return held


def _with(held: tuple[HeldLock, ...], lock: HeldLock) -> tuple[HeldLock, ...]:
    """The locks held, and one more unless it is among them."""
    return held if any(each.key == lock.key for each in held) else (*held, lock)


def kernel_lines(where: tuple[Place, ...]) -> tuple[Place, ...]:
    """The lines along an await chain that are kernel text.

    Left out is the helper that takes apart what a replaced function asks for together.
    """
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
    """The parts of a step, each with its own exact result; most steps are their only part."""
    if step.op != "together":
        return [(step, result)]
    results = result[1] if result is not None else (None,) * len(step.args)
    return [
        pair
        for part, own in zip(step.args, results, strict=True)
        for pair in parts_with_results(part, own)
    ]


def follow(
    locks: LockTracker,
    held: tuple[HeldLock, ...],
    step: Step,
    result: Any,
    where: tuple[Place, ...],
    cpu: int,
    node: int,
) -> tuple[tuple[HeldLock, ...], list[Dependency]]:
    """What a task holds after a step, and the dependencies that the step adds.

    `result` is exact, or None if no result is known.
    """
    site, edges = site_of(where), []
    for part, own in parts_with_results(step, result):
        taken = locks.wanted(part, site)
        if taken is not None:
            wanted, waits = taken
            if waits:
                edges += [
                    Dependency(lock, wanted, cpu, node) for lock in held if lock.key != wanted.key
                ]
        held = locks.after(held, part, own, site)
    return held, edges


def dependencies(machine: Machine) -> Iterator[Dependency]:
    """All dependencies in a machine that has been searched whole, some of them more than once."""
    locks = LockTracker(machine.layout)
    for task in machine.tasks:
        yield from _dependencies_of(locks, task)


def _dependencies_of(locks: LockTracker, task: Task) -> Iterator[Dependency]:
    """All dependencies of one task: from its first node on, with what it holds at each."""
    start: tuple[int, tuple[HeldLock, ...]] = (0, ())
    work, seen = [start], {start}
    while work:
        index, held = work.pop()
        node: Node = task.nodes[index]
        if node.step is None:
            continue
        where = node.answer.where
        if not node.edges:  # the task waits here for ever: its step never came to an end
            yield from follow(locks, held, node.step, None, where, task.cpu, index)[1]
        for result, following in node.edges.items():
            after, edges = follow(locks, held, node.step, result, where, task.cpu, index)
            yield from edges
            if (following, after) not in seen:
                seen.add((following, after))
                work.append((following, after))


def order_of_run(run: Run) -> tuple[LockOrder, dict[int, tuple[HeldLock, ...]]]:
    """The order of locks in one execution, and what each CPU holds at its end."""
    machine, locks, order = run.machine, LockTracker(run.machine.layout), LockOrder()
    holds: dict[int, tuple[HeldLock, ...]] = dict.fromkeys(machine.cpus, ())
    for state, taken in zip(run.states, run.taken, strict=False):
        if taken.violation is not None:
            continue  # a step that did not happen
        cpu, where = taken.cpu, machine.node(state, taken.cpu).answer.where
        result = exact(taken.result)
        holds[cpu], edges = follow(locks, holds[cpu], taken.step, result, where, cpu, -1)
        for edge in edges:
            order.add(edge)
    return order, holds
