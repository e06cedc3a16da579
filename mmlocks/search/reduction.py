"""Partial-order reduction by persistent sets: where the order of steps cannot matter, only one order is followed.

A set P of CPUs is persistent in a state if nothing that the CPUs outside P may ever do, before P moves, can touch what
P's pending steps touch. Then it is enough to explore P's steps there: every execution has an equivalent one, with the same
final state and the same results at every step, that begins with one of them (Godefroid, "Partial-Order Methods for the
Verification of Concurrent Systems", LNCS 1032, chapter 4).

"May ever do" is read off the task automata: the union of the footprints of all nodes reachable from where a CPU stands.
The automata are discovered during the search, so such a union can turn out too small afterwards. `explore` therefore
looks at its decisions again whenever the automata have grown, until nothing changes.
"""

from __future__ import annotations

from mmlocks.machine.machine import PC_FIELD, Machine
from mmlocks.machine.step import Footprint
from mmlocks.machine.task import Task


def conflict(pending: Footprint, other: Footprint) -> bool:
    """Whether the order of two steps, or of a step and a future, can matter. Two additions commute."""
    return bool(
        pending.writes & (other.reads | other.writes | other.adds)
        or other.writes & (pending.reads | pending.adds)
        or pending.adds & other.reads
        or pending.reads & other.adds
    )


class Reduction:
    """Which CPUs are worth running in a state. Answers depend on the CPUs' positions alone and are remembered."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._choices: dict[int, tuple[int, ...]] = {}
        self._futures: list[list[Footprint]] = [[] for _ in machine.tasks]
        self._loops: list[set[int]] = [set() for _ in machine.tasks]
        self._grown = [-1 for _ in machine.tasks]
        self._pairs: dict[tuple[int, int, int, int], bool] = {}

    @property
    def stale(self) -> bool:
        """Whether a task has grown since its future was last looked at."""
        return any(task.growth != grown for task, grown in zip(self._machine.tasks, self._grown, strict=True))

    def refresh(self) -> None:
        """Forget every answer and look at the automata as they are now."""
        self._choices.clear()
        self._pairs.clear()
        for task in self._machine.tasks:
            self._look(task)

    def choices(self, positions: int) -> tuple[int, ...]:
        """Persistent sets at these positions, as CPU bit masks, smallest first; the last one is all CPUs.

        `positions` is `state & layout.pc_mask`.
        """
        known = self._choices.get(positions)
        if known is None:
            known = self._choices[positions] = self._compute(positions)
        return known

    def _compute(self, positions: int) -> tuple[int, ...]:
        machine = self._machine
        at = [positions >> shift & PC_FIELD for shift in machine.layout.pc_shifts]
        running = [cpu for cpu in machine.cpus if machine.tasks[cpu].nodes[at[cpu]].step is not None]
        everyone = sum(1 << cpu for cpu in running)
        hits = {cpu: self._hits(cpu, at, running) for cpu in running}
        found = set()
        for start in running:
            members, fresh = 0, 1 << start
            while fresh:
                members |= fresh
                reached = 0
                for cpu in running:
                    if fresh >> cpu & 1:
                        reached |= hits[cpu]
                fresh = reached & ~members
            # Without this, a CPU that spins could be followed around its loop for ever while the others wait for their turn.
            if any(members >> cpu & 1 and at[cpu] in self._loops[cpu] for cpu in running):
                members = everyone
            found.add(members)
        return tuple(sorted(found | {everyone}, key=lambda members: (members.bit_count(), members)))

    def _hits(self, cpu: int, at: list[int], running: list[int]) -> int:
        """The other CPUs whose future conflicts with `cpu`'s pending step."""
        mask = 0
        for other in running:
            if other != cpu and self._pair(cpu, at[cpu], other, at[other]):
                mask |= 1 << other
        return mask

    def _pair(self, cpu: int, node: int, other: int, other_node: int) -> bool:
        key = (cpu, node, other, other_node)
        known = self._pairs.get(key)
        if known is None:
            pending = self._machine.tasks[cpu].nodes[node].footprint
            known = self._pairs[key] = conflict(pending, self._future(other, other_node))
        return known

    def _future(self, cpu: int, node: int) -> Footprint:
        if node >= len(self._futures[cpu]):
            self._look(self._machine.tasks[cpu])
        return self._futures[cpu][node]

    def _look(self, task: Task) -> None:
        """Compute every node's reachable footprint, and the nodes from which a loop is closed."""
        count = len(task.nodes)
        following = [sorted(set(node.edges.values())) for node in task.nodes]
        reach = [1 << index for index in range(count)]
        futures = [node.footprint for node in task.nodes]
        changed = True
        while changed:
            changed = False
            for index in reversed(range(count)):
                for after in following[index]:
                    reached, future = reach[index] | reach[after], futures[index].joined(futures[after])
                    if reached != reach[index] or future != futures[index]:
                        reach[index], futures[index], changed = reached, future, True
        # Nodes are numbered as they are discovered, so every cycle has an edge to a lower number (or to itself).
        self._loops[task.cpu] = {
            index for index in range(count) for after in following[index] if after <= index and reach[after] >> index & 1
        }
        self._futures[task.cpu] = futures
        self._grown[task.cpu] = task.growth
