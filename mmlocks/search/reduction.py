"""Partial-order reduction by persistent sets: where the order of steps cannot matter, only one order is followed.

A set P of CPUs is persistent in a state if nothing that the CPUs outside P may ever do, before P moves, can disturb what
P's pending steps do. Then it is enough to explore P's steps there: every execution has an equivalent one, with the same
final state and the same results at every step, that begins with one of them (Godefroid, "Partial-Order Methods for the
Verification of Concurrent Systems", LNCS 1032, chapter 4).

What a pending step does is known exactly: it is carried out on this very state, and what it touches there is written down. As long as
nobody changes what it read, it will touch the same and do the same (conditional independence: Katz & Peled, "Defining conditional
independence using collapses", TCS 1992). A step that is blocked touches what it found to be blocked by.

"May ever do" is read off the task automata: the union of the declared footprints of all nodes reachable from where a CPU stands.
The automata are discovered during the search, so such a union can turn out too small afterwards. `explore` therefore
looks at its decisions again whenever the automata have grown, until nothing changes.

Several persistent sets mostly offer themselves, and which one is followed decides how many states there are. Let two pairs of CPUs quarrel
about a page each. Whoever follows now one pair, now the other, sees their positions combined in every way; whoever lets one pair come to its end
first sees one after the other. So the CPUs are divided into groups that will meet no more, and the smallest group goes first. Any
choice among persistent sets is sound, so the groups may be guessed from what steps were seen to touch so far.
"""

from __future__ import annotations

from mmlocks.machine.machine import PC_FIELD, Machine, Violation
from mmlocks.machine.step import Footprint
from mmlocks.machine.task import Node, Task


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


EVERYTHING = -1
"""What clashes with a step that breaks a rule. It ends the execution: were it followed alone, whatever others may still do would never
be seen, and they might have kept it from happening in a way that nobody knows of yet."""


PATIENCE = 8
"""Automata are looked at anew when this part of them is new. To look at once costs more than better choices save, to wait longer costs states."""


class Reduction:
    """Which CPUs are worth running in a state."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        tasks = machine.tasks
        self._grown = [-1 for _ in tasks]
        self._looked = [0 for _ in tasks]
        self._told: list[dict[int, tuple[int, bool]]] = [{} for _ in tasks]
        self._refreshed = [-1 for _ in tasks]
        # For each CPU and node: what the node's step and all after it may touch by their declarations, what they were seen to touch,
        # and what clashes with the latter; whether a loop is closed there.
        self._futures: list[list[int]] = [[] for _ in tasks]
        self._meets: list[list[int]] = [[] for _ in tasks]
        self._avoids: list[list[int]] = [[] for _ in tasks]
        self.loops: list[set[int]] = [set() for _ in tasks]
        # For each CPU and node, by the projected state: its bit if it can run there (else 0), and what clashes with what it does.
        self._pending: list[list[dict[int, tuple[int, int]]]] = [[] for _ in tasks]
        self._everyone = [
            (task, shift, task.nodes, self._futures[task.cpu], self._pending[task.cpu])
            for task, shift in zip(tasks, machine.layout.pc_shifts, strict=True)
        ]

    @property
    def stale(self) -> bool:
        """Whether a task has grown since the last `refresh`, so that a choice made since then may have been too small."""
        return any(
            task.growth != grown
            for task, grown in zip(self._machine.tasks, self._refreshed, strict=True)
        )

    def refresh(self) -> None:
        """Look at the automata as they are now."""
        for task in self._machine.tasks:
            if task.growth != self._grown[task.cpu]:
                self._look(task)
            self._refreshed[task.cpu] = task.growth

    def news(self) -> list[set[int]]:
        """For each CPU the nodes of whose future more is known than when this was asked the last time."""
        now = [
            {index: (future, index in loops) for index, future in enumerate(futures)}
            for futures, loops in zip(self._futures, self.loops, strict=True)
        ]
        fresh = [
            {index for index, future in known.items() if before.get(index) != future}
            for known, before in zip(now, self._told, strict=True)
        ]
        self._told = now
        return fresh

    def extends(self, earlier: Reduction) -> bool:
        """Whether `earlier` would choose as soundly as this one: it has overlooked nothing at the nodes that it knew."""
        return all(
            now[: len(then)] == then and loops & set(range(len(then))) == loops_then
            for now, then, loops, loops_then in zip(
                self._futures, earlier._futures, self.loops, earlier.loops, strict=True
            )
        )

    def choose(self, state: int) -> int:
        """A persistent set in `state` as a bit mask of CPUs; 0 if nobody can run."""
        running = []
        able = 0
        for task, shift, nodes, futures, pending in self._everyone:
            index = state >> shift & PC_FIELD
            node = nodes[index]
            if node.answer.step is None:
                continue
            if index >= len(futures):
                if (len(nodes) - self._looked[task.cpu]) * PATIENCE > len(nodes):
                    self._look(task)
                else:
                    self._meet(task)
            try:
                can, clash = pending[index][state & node.project]
            except KeyError:
                can, clash = self._ask(state, node, task.cpu)
            able |= can
            running.append((task.cpu, index, 1 << task.cpu, clash, futures[index]))
        for cpu, index, bit, clash, _ in running:
            if able & bit and index not in self.loops[cpu]:
                for _, _, other, _, future in running:
                    if clash & future and other != bit:
                        break
                else:
                    return bit  # nobody can ever disturb this step: no other set is smaller
        return self._smallest(running, able) if able else 0

    def _smallest(self, running: list[tuple[int, int, int, int, int]], able: int) -> int:
        """The persistent set with the fewest CPUs that can run, in the first group that has any but the set of all."""
        hits = {}
        everyone = looping = 0
        for cpu, index, bit, clash, _ in running:
            everyone |= bit
            looping |= bit if index in self.loops[cpu] else 0
            hits[bit] = sum(other for _, _, other, _, future in running if clash & future) | bit
        for group in self._groups(running):
            best = everyone
            for start, hit in hits.items():
                if not start & group & able:
                    continue
                members, fresh = start, hit & ~start
                while fresh:
                    members |= fresh
                    reached = 0
                    for bit, others in hits.items():
                        if fresh & bit:
                            reached |= others
                    fresh = reached & ~members
                # A CPU that spins must not be followed around its loop for ever while others wait for their turn.
                if (
                    not members & looping
                    and (able & members).bit_count() < (able & best).bit_count()
                ):
                    best = members
            if best != everyone:
                return best
        return everyone

    def _groups(self, running: list[tuple[int, int, int, int, int]]) -> list[int]:
        """The running CPUs, parted so that no two groups are likely to meet any more; the smallest first."""
        groups: list[tuple[int, int]] = []
        for cpu, index, mask, _, _ in running:
            avoids, meets = self._avoids[cpu][index], self._meets[cpu][index]
            apart = []
            for others, theirs in groups:
                if avoids & theirs:
                    mask, meets = mask | others, meets | theirs
                else:
                    apart.append((others, theirs))
            groups = [*apart, (mask, meets)]
        return sorted((mask for mask, _ in groups), key=lambda mask: (mask.bit_count(), mask))

    def _ask(self, state: int, node: Node, cpu: int) -> tuple[int, int]:
        """What `choose` must know of a step that it meets in this situation for the first time."""
        outcome = self._machine.outcome(state, node, cpu)
        key = state & node.project
        if isinstance(outcome, Violation):
            clash = EVERYTHING
        else:
            clash = clashing(node.accesses[key], len(self._machine.layout.cells))
        known = self._pending[cpu][node.index][key] = 0 if outcome is None else 1 << cpu, clash
        return known

    def _meet(self, task: Task) -> None:
        """Take up new nodes, and what they may touch, in the futures of those before them. The rest can wait for `refresh`."""
        cells, cpu = len(task.layout.cells), task.cpu
        known = len(self._futures[cpu])
        # These lists are known to `choose` by themselves, and so stay what they are.
        for node in task.nodes[known:]:
            self._meets[cpu].append(touched(node.touched, cells))
            self._avoids[cpu].append(clashing(node.touched, cells))
            self._pending[cpu].append({})
        following = [sorted(set(node.edges.values())) for node in task.nodes]
        present = (
            1 << 3 * cells
        )  # of a CPU that goes on, even if what is known of it touches nothing
        masks = self._futures[cpu] + [
            present | touched(node.footprint, cells) for node in task.nodes[known:]
        ]
        self._futures[cpu][:] = closed(masks, following)

    def _look(self, task: Task) -> None:
        """Compute for every node what its future may touch, and whether a loop is closed there."""
        self._meet(task)
        cells, cpu = len(task.layout.cells), task.cpu
        following = [sorted(set(node.edges.values())) for node in task.nodes]
        reach = closed([1 << index for index in range(len(following))], following)
        # Nodes are numbered as they are discovered, so every cycle has an edge to a lower number (or to itself).
        self.loops[cpu] = {
            index
            for index, after in enumerate(following)
            if any(target <= index and reach[target] >> index & 1 for target in after)
        }
        self._meets[cpu][:] = closed(
            [touched(node.touched, cells) for node in task.nodes], following
        )
        self._avoids[cpu][:] = closed(
            [clashing(node.touched, cells) for node in task.nodes], following
        )
        self._grown[cpu] = task.growth
        self._looked[cpu] = len(task.nodes)


def closed(masks: list[int], following: list[list[int]]) -> list[int]:
    """For each node its own mask, joined with those of all nodes that can follow."""
    masks = list(masks)
    changed = True
    while changed:
        changed = False
        for index in reversed(range(len(masks))):
            mask = masks[index]
            for after in following[index]:
                mask |= masks[after]
            if mask != masks[index]:
                masks[index], changed = mask, True
    return masks
