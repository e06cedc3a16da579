"""Partial-order reduction by persistent sets: where the order of steps cannot matter, follow one.

A set P of CPUs is persistent in a state if nothing that the CPUs outside P may ever do, before P
moves, can disturb what P's pending steps do. Then it is enough to explore P's steps there: every
execution has an equivalent one that begins with one of them, with the same final state and the same
result of every step (Godefroid, "Partial-Order Methods for the Verification of Concurrent Systems",
LNCS 1032, chapter 4).

What a pending step does is known exactly: it is carried out on this very state, and what it touches
there is noted. As long as no other CPU changes what it read, it touches the same and does the same
(conditional independence: Katz & Peled, "Defining conditional independence using collapses", TCS
1992). A step that is blocked touches what it found to be blocked by.

"May ever do" is read off the task automata: the union of the declared footprints of all nodes that
a CPU can still reach. The automata are discovered during the search, so such a union can turn out
too small afterwards. So the search looks at its choices again whenever the automata have grown,
until nothing changes.

Mostly there are several persistent sets, and the one that is followed decides how many states there
are. Let two pairs of CPUs compete for one page each. A search that follows now one pair, now the
other, sees their positions combined in every way. A search that lets one pair come to its end first
sees one pair after the other. So the CPUs are divided into groups that will meet no more, and the
smallest group goes first. Any choice among persistent sets is sound, so the groups may be guessed
from what steps were seen to touch so far.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mmlocks.machine.machine import PC_FIELD, Machine, Violation
from mmlocks.machine.step import Footprint
from mmlocks.machine.task import Node, Task


def touched(footprint: Footprint, cells: int) -> int:
    """A footprint as one number: the cells read, then those written, then those added to."""
    return footprint.reads | footprint.writes << cells | footprint.adds << 2 * cells


def clashing(footprint: Footprint, cells: int) -> int:
    """The accesses whose order with this footprint can matter, laid out as by `touched`.

    Reads do not disturb reads, and additions do not disturb additions; everything else on the same
    cell does.
    """
    reads, writes, adds = footprint
    return (writes | adds) | (reads | writes | adds) << cells | (reads | writes) << 2 * cells


def conflict(one: Footprint, other: Footprint, cells: int) -> bool:
    """Whether the order of two steps, or of a step and a future, can matter."""
    return bool(clashing(one, cells) & touched(other, cells))


EVERYTHING = -1
"""What clashes with a step that breaks a rule.

Such a step ends the execution. Were it followed alone, what others may still do would never be
seen, and they might have prevented it in a way that is not known yet.
"""

PATIENCE = 8
"""An automaton is surveyed again once 1/8 of its nodes are new.

A survey costs more than a few better choices save; to wait longer costs states.
"""

Running = tuple["_Outlook", int, int, int, int]
"""A CPU that is not done: its outlook, node, bit, what clashes with its step, and its future."""


class Reduction:
    """Which CPUs are worth running in a state."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._outlooks = [_Outlook(task) for task in machine.tasks]
        self._everyone = [
            (outlook, shift, outlook.task.nodes, outlook.ahead)
            for outlook, shift in zip(self._outlooks, machine.layout.pc_shifts, strict=True)
        ]

    @property
    def loops(self) -> list[set[int]]:
        """For each CPU the nodes at which a loop of its task is closed."""
        return [outlook.loops for outlook in self._outlooks]

    @property
    def stale(self) -> bool:
        """Whether a task has grown since the last `refresh`: a choice may have been too small."""
        return any(outlook.task.growth != outlook.refreshed for outlook in self._outlooks)

    def refresh(self) -> None:
        """Look at the automata as they are now."""
        for outlook in self._outlooks:
            if outlook.task.growth != outlook.surveyed:
                outlook.survey()
            outlook.refreshed = outlook.task.growth

    def news(self) -> list[set[int]]:
        """For each CPU the nodes whose future has changed since the last call."""
        return [outlook.news() for outlook in self._outlooks]

    def extends(self, earlier: Reduction) -> bool:
        """Whether `earlier` overlooked nothing at the nodes that it knew."""
        return all(
            now.extends(then) for now, then in zip(self._outlooks, earlier._outlooks, strict=True)
        )

    def choose(self, state: int) -> int:
        """A persistent set in `state` as a bit mask of CPUs; 0 if no CPU can run."""
        running: list[Running] = []
        able = 0
        for outlook, shift, nodes, ahead in self._everyone:
            index = state >> shift & PC_FIELD
            node = nodes[index]
            if node.answer.step is None:
                continue
            if index >= len(ahead):
                outlook.catch_up()
            here = ahead[index]
            try:
                can, clash = here.pending[state & node.project]
            except KeyError:
                can, clash = self._ask(state, node, outlook.task.cpu, here)
            able |= can
            running.append((outlook, index, outlook.bit, clash, here.future))
        for outlook, index, bit, clash, _ in running:
            if able & bit and index not in outlook.loops:
                for _, _, other, _, future in running:
                    if clash & future and other != bit:
                        break
                else:
                    return bit  # nothing can ever disturb this step: no other set is smaller
        return self._smallest(running, able) if able else 0

    def _smallest(self, running: list[Running], able: int) -> int:
        """The persistent set with the fewest CPUs that can run.

        It is taken from the first group that has one smaller than the set of all.
        """
        hits = {}
        everyone = looping = 0
        for outlook, index, bit, clash, _ in running:
            everyone |= bit
            looping |= bit if index in outlook.loops else 0
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
                # A CPU that spins must not be followed for ever while others wait for their turn.
                if (
                    not members & looping
                    and (able & members).bit_count() < (able & best).bit_count()
                ):
                    best = members
            if best != everyone:
                return best
        return everyone

    def _groups(self, running: list[Running]) -> list[int]:
        """The running CPUs in groups that are not likely to meet any more; the smallest first."""
        groups: list[tuple[int, int]] = []
        for outlook, index, mask, _, _ in running:
            here = outlook.ahead[index]
            avoids, meets = here.avoids, here.meets
            apart = []
            for others, theirs in groups:
                if avoids & theirs:
                    mask, meets = mask | others, meets | theirs
                else:
                    apart.append((others, theirs))
            groups = [*apart, (mask, meets)]
        return sorted((mask for mask, _ in groups), key=lambda mask: (mask.bit_count(), mask))

    def _ask(self, state: int, node: Node, cpu: int, here: _Ahead) -> tuple[int, int]:
        """What `choose` must know of a step that it meets in this situation for the first time."""
        outcome = self._machine.outcome(state, node, cpu)
        key = state & node.project
        if isinstance(outcome, Violation):
            clash = EVERYTHING
        else:
            clash = clashing(node.accesses[key], len(self._machine.layout.cells))
        here.pending[key] = known = (0 if outcome is None else 1 << cpu, clash)
        return known


@dataclass(slots=True)
class _Ahead:
    """What may still happen from one node of a task on."""

    future: int
    """What its step and all after it may touch, by their declarations."""
    meets: int
    """What they were seen to touch."""
    avoids: int
    """What clashes with that."""
    pending: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By the projected state: the CPU's bit if it can run (otherwise 0), and what clashes there."""


class _Outlook:
    """What is known of a task's automaton."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.bit = 1 << task.cpu
        self.ahead: list[_Ahead] = []
        """By node. `Reduction.choose` holds this list, so it stays the same object."""
        self.loops: set[int] = set()
        """The nodes at which a loop is closed."""
        self.surveyed = self.refreshed = -1
        """The task's `growth` at the last survey, and at the last refresh."""
        self._surveyed_nodes = 0
        self._told: dict[int, tuple[int, bool]] = {}

    def catch_up(self) -> None:
        """Take up new nodes; survey the whole automaton if many are new."""
        known = len(self.task.nodes)
        if (known - self._surveyed_nodes) * PATIENCE > known:
            self.survey()
        else:
            self._extend()

    def _extend(self) -> None:
        """Take up new nodes, and what they may touch, in the futures of those before them."""
        cells, new = len(self.task.layout.cells), self.task.nodes[len(self.ahead) :]
        present = 1 << 3 * cells  # set for every CPU that goes on, even if it will touch nothing
        for node in new:
            future = present | touched(node.footprint, cells)
            seen = node.touched
            self.ahead.append(_Ahead(future, touched(seen, cells), clashing(seen, cells)))
        futures = closed([each.future for each in self.ahead], self._following())
        for each, future in zip(self.ahead, futures, strict=True):
            each.future = future

    def survey(self) -> None:
        """Compute for every node what may follow it, and whether a loop is closed there."""
        self._extend()
        cells, nodes, following = len(self.task.layout.cells), self.task.nodes, self._following()
        reach = closed([1 << index for index in range(len(following))], following)
        # Nodes are numbered as they are discovered, so every cycle has an edge to a lower number
        # (or to itself).
        self.loops = {
            index
            for index, after in enumerate(following)
            if any(target <= index and reach[target] >> index & 1 for target in after)
        }
        meets = closed([touched(node.touched, cells) for node in nodes], following)
        avoids = closed([clashing(node.touched, cells) for node in nodes], following)
        for each, met, avoided in zip(self.ahead, meets, avoids, strict=True):
            each.meets, each.avoids = met, avoided
        self.surveyed = self.task.growth
        self._surveyed_nodes = len(nodes)

    def _following(self) -> list[list[int]]:
        return [sorted(set(node.edges.values())) for node in self.task.nodes]

    def news(self) -> set[int]:
        """The nodes whose future has changed since the last call."""
        told = {index: (each.future, index in self.loops) for index, each in enumerate(self.ahead)}
        fresh = {index for index, future in told.items() if self._told.get(index) != future}
        self._told = told
        return fresh

    def extends(self, earlier: _Outlook) -> bool:
        """Whether the nodes that `earlier` knew have the futures and loops that it saw."""
        known = range(len(earlier.ahead))
        return self.loops & set(known) == earlier.loops and all(
            now.future == then.future for now, then in zip(self.ahead, earlier.ahead, strict=False)
        )


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
