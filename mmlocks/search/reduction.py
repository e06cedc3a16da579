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


def touched(footprint: Footprint, cells: int) -> int:
    """A footprint as one number: the cells read, then those written, then those added to."""
    return footprint.reads | footprint.writes << cells | footprint.adds << 2 * cells


def clashing(footprint: Footprint, cells: int) -> int:
    """The accesses whose order with this footprint can matter, laid out as `touched` lays them out.

    Reads do not disturb reads, and additions do not disturb additions; everything else on the same cell does.
    """
    reads, writes, adds = footprint
    return (writes | adds) | (reads | writes | adds) << cells | (reads | writes) << 2 * cells


def conflict(one: Footprint, other: Footprint, cells: int) -> bool:
    """Whether the order of two steps, or of a step and a future, can matter."""
    return bool(clashing(one, cells) & touched(other, cells))


class Reduction:
    """Which CPUs are worth running in a state."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._everyone = [(cpu, shift, 1 << cpu) for cpu, shift in enumerate(machine.layout.pc_shifts)]
        self._grown = [-1 for _ in machine.tasks]
        self._refreshed = [-1 for _ in machine.tasks]
        # For each CPU and node: what its step clashes with, what its future may touch, whether it closes a loop.
        self._clashes: list[list[int]] = [[] for _ in machine.tasks]
        self._futures: list[list[int]] = [[] for _ in machine.tasks]
        self.loops: list[set[int]] = [set() for _ in machine.tasks]

    @property
    def stale(self) -> bool:
        """Whether a task has grown since the last `refresh`, so that a choice made since then may have been too small."""
        return any(
            task.growth != grown for task, grown in zip(self._machine.tasks, self._refreshed, strict=True)
        )

    def refresh(self) -> None:
        """Look at the automata as they are now."""
        for task in self._machine.tasks:
            if task.growth != self._grown[task.cpu]:
                self._look(task)
            self._refreshed[task.cpu] = task.growth

    def choose(self, state: int) -> int:
        """A persistent set in `state` as a bit mask of CPUs, as small as we can find; 0 if nobody can run."""
        machine, loops = self._machine, self.loops
        running = []
        for cpu, shift, bit in self._everyone:
            node = state >> shift & PC_FIELD
            if node >= len(self._futures[cpu]):
                self._look(machine.tasks[cpu])
            if machine.tasks[cpu].nodes[node].answer.step is not None:
                running.append((cpu, node, bit, self._clashes[cpu][node], self._futures[cpu][node]))
        hits = {}
        able = 0
        for cpu, node, bit, clashes, _ in running:
            if machine.outcome(state, machine.tasks[cpu].nodes[node], cpu) is not None:
                able |= bit
            hit = bit
            for _, _, other_bit, _, future in running:
                if clashes & future and other_bit != bit:
                    hit |= other_bit
            if hit == bit and able & bit and node not in loops[cpu]:
                return bit  # nobody can ever disturb this step: no other set is smaller
            hits[cpu] = hit
        if not able:
            return 0
        best = sum(bit for _, _, bit, _, _ in running)
        for start, _, bit, _, _ in running:
            members, fresh = bit, hits[start] & ~bit
            looping = False
            while fresh:
                members |= fresh
                reached = 0
                for cpu, _, other_bit, _, _ in running:
                    if fresh & other_bit:
                        reached |= hits[cpu]
                fresh = reached & ~members
            for cpu, node, other_bit, _, _ in running:
                looping = looping or bool(members & other_bit and node in loops[cpu])
            # A CPU that spins must not be followed around its loop for ever while others wait for their turn.
            if not looping and able & members and (able & members).bit_count() < (able & best).bit_count():
                best = members
        return best

    def _look(self, task: Task) -> None:
        """Compute for every node what its future may touch, and whether a loop is closed there."""
        cells, count = len(task.layout.cells), len(task.nodes)
        following = [sorted(set(node.edges.values())) for node in task.nodes]
        reach = [1 << index for index in range(count)]
        futures = [touched(node.footprint, cells) for node in task.nodes]
        changed = True
        while changed:
            changed = False
            for index in reversed(range(count)):
                reached, future = reach[index], futures[index]
                for after in following[index]:
                    reached |= reach[after]
                    future |= futures[after]
                if reached != reach[index] or future != futures[index]:
                    reach[index], futures[index], changed = reached, future, True
        # Nodes are numbered as they are discovered, so every cycle has an edge to a lower number (or to itself).
        self.loops[task.cpu] = {
            index
            for index in range(count)
            for after in following[index]
            if after <= index and reach[after] >> index & 1
        }
        self._clashes[task.cpu] = [clashing(node.footprint, cells) for node in task.nodes]
        self._futures[task.cpu] = futures
        self._grown[task.cpu] = task.growth
