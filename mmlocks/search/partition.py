"""Classes of states that can be searched one by one, without leading back.

Some CPUs are **told apart**: the positions of these CPUs divide states into classes. Every step of
a task leads to a later node of its automaton, or goes round a loop. A class holds such a loop as a
whole, so a step that leaves a class leads onwards. Nodes have ranks (the longest way to them). The
sum of the ranks of the CPUs told apart grows from class to class: that sum is the **layer** of a
class.
"""

from __future__ import annotations

import copy
import pickle
import random
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from mmlocks.machine.machine import PC_FIELD, Machine
from mmlocks.machine.task import Task
from mmlocks.search.reduction import Reduction, closed

Class = tuple[int, ...]
"""For each CPU told apart, in their order, the first node of the loop where it stands.

Outside of loops, that is the node itself.
"""

Entries = dict[Class, list[bytes]]
"""Classes that wait to be searched, each with the packed states by which it is entered."""

SAMPLE = 2_000
"""States from which `Divider` estimates which CPUs to tell apart."""

SHARED = 2
"""Workers for which work is divided, however many there are.

What a search finds first must not depend on their number.
"""

SENDING = 0.3
"""The work of sending a state, in states searched (measured: 0.25 with reduction, 0.4 without)."""


class Partition:
    """The classes of a program's states, as far as its automata are known."""

    def __init__(self, machine: Machine, apart: Sequence[int]) -> None:
        self.apart = tuple(apart)
        self.reduction = Reduction(machine)
        self.reduction.refresh()
        self._shifts = machine.layout.pc_shifts
        self.firsts, self._ranks = zip(
            *(_loops_and_ranks(task) for task in machine.tasks), strict=True
        )

    def telling_apart(self, apart: Sequence[int]) -> Partition:
        """The same program with other CPUs told apart."""
        other = copy.copy(self)
        other.apart = tuple(apart)
        return other

    def name(self, state: int) -> Class:
        """The class in which a state is."""
        return tuple(self.firsts[cpu][state >> self._shifts[cpu] & PC_FIELD] for cpu in self.apart)

    def layer(self, name: Class) -> int:
        """The sum of the ranks of the CPUs told apart."""
        return sum(self._ranks[cpu][first] for cpu, first in zip(self.apart, name, strict=True))

    def layers(self, packed_states: Iterable[bytes]) -> dict[int, Entries]:
        """The states that wait, by layer and class."""
        classes = defaultdict[Class, set[int]](set)
        for part in packed_states:
            for state in unpacked(part):
                classes[self.name(state)].add(state)
        layers: dict[int, Entries] = {}
        for name, states in classes.items():
            layers.setdefault(self.layer(name), {})[name] = [packed(states)]
        return layers

    def extends(self, earlier: Partition, reduced: bool) -> bool:
        """Whether what was searched by `earlier` still stands.

        Each known state must be in the same class and layer, and a reduction must have missed
        nothing.
        """
        kept = all(
            now[cpu][: len(then[cpu])] == then[cpu]
            for cpu in self.apart
            for now, then in ((self.firsts, earlier.firsts), (self._ranks, earlier._ranks))
        )
        return kept and (not reduced or self.reduction.extends(earlier.reduction))


class Divider:
    """Decides which CPUs to tell apart, by a sample of the states that were seen already."""

    def __init__(self, machine: Machine, reduced: bool, seen: Collection[int]) -> None:
        self._cpus = machine.cpus
        states = random.Random(0).sample(list(seen), min(SAMPLE, len(seen))) or [machine.initial]
        reduction = Reduction(machine)
        reduction.refresh()
        self._sample: list[tuple[int, list[int]]] = []
        """States, each with the CPUs whose steps are followed from there."""
        for state in states:
            chosen = reduction.choose(state) if reduced else -1
            moving = [cpu for cpu in machine.enabled(state) if chosen >> cpu & 1]
            self._sample.append((state, moving))

    def divided(self, partition: Partition) -> Partition:
        """The same with more CPUs told apart, as long as that makes the work easier to share."""
        while len(partition.apart) < len(self._cpus):
            further = self.one_more(partition)
            if partition.apart and self._span(further) > 0.95 * self._span(partition):
                break
            partition = further
        return partition

    def one_more(self, partition: Partition) -> Partition:
        """The same with one more CPU told apart: the one that makes the work easiest to share."""
        left = [cpu for cpu in self._cpus if cpu not in partition.apart]
        return min(
            (partition.telling_apart((*partition.apart, cpu)) for cpu in left), key=self._span
        )

    def _span(self, partition: Partition) -> float:
        """How long workers would take for the sample, in states.

        A layer takes as long as its largest class, or as a worker's share of it.
        """
        classes = defaultdict[Class, float](float)
        for state, moving in self._sample:
            sent = sum(cpu in partition.apart for cpu in moving)
            classes[partition.name(state)] += 1 + SENDING * sent
        layers = defaultdict[int, list[float]](list)
        for name, work in classes.items():
            layers[partition.layer(name)].append(work)
        return sum(max(*works, sum(works) / SHARED) for works in layers.values())


def packed(states: Iterable[int]) -> bytes:
    """States as they are sent, and kept until they are searched."""
    return pickle.dumps(list(states))


def unpacked(states: bytes) -> list[int]:
    """The states again."""
    found: list[int] = pickle.loads(states)  # noqa: S301  written by `packed`, here or in a worker
    return found


def _loops_and_ranks(task: Task) -> tuple[list[int], list[int]]:
    """For each node the first node of its loop (itself, if it is in none), and the node's rank.

    Nodes of one loop share a rank.
    """
    following = [sorted(set(node.edges.values())) for node in task.nodes]
    reach = closed([1 << index for index in range(len(following))], following)
    firsts = [
        next(
            first for first in range(index + 1) if reach[index] >> first & reach[first] >> index & 1
        )
        for index in range(len(following))
    ]
    ranks = [0] * len(following)
    changed = True
    while changed:
        changed = False
        for index, after in enumerate(following):
            for target in after:
                further = ranks[index] + (firsts[target] != firsts[index])
                if ranks[target] < further:
                    ranks[target], changed = further, True
    return firsts, ranks
