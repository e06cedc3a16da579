"""All endings: what a program can come to, in how many ways, and how for each.

Every path through the graph of states is one schedule. So schedules are counted and not followed:
the number of ways into a state is the sum over the states before it, in topological order. If the
graph has a cycle, some CPU can go round as often as it likes. All that lies behind the cycle has
infinitely many schedules.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

from mmlocks.machine.machine import Machine, Violation
from mmlocks.search.endless import never_ending
from mmlocks.search.shortest import PREEMPTION
from mmlocks.search.verdict import STOPPED, Budget, Meter, Progress, why
from mmlocks.search.ways import way_to_arrival


@dataclass(frozen=True)
class Ending:
    """One of the things that a program can come to.

    `violation` is the rule that is broken; without one, `value` is what matters of the final state.
    `states` counts the states in which this happens. `schedules` counts the schedules that lead
    there: None if there are infinitely many, and 0 for going round for ever, which no schedule
    completes. `schedule` is one with the fewest preemptions, and then the fewest steps.
    """

    violation: Violation | None
    value: Any
    states: int
    schedules: int | None
    schedule: tuple[int, ...]


@dataclass(frozen=True)
class Endings:
    """Every ending: the good ones first, each kind by how many schedules lead there.

    There are none if the budget ended first (`reason`).
    """

    endings: tuple[Ending, ...]
    states: int
    transitions: int
    reason: str = ""

    @property
    def schedules(self) -> int | None:
        """How many schedules the program has; None if infinitely many."""
        return _sum(ending.schedules for ending in self.endings)


def endings(
    machine: Machine,
    matters: Callable[[int], Hashable] | None = None,
    budget: Budget | None = None,
    progress: Progress | None = None,
) -> Endings:
    """Every ending of `machine`.

    `matters` is a key for final states: two with the same key are one ending (default: the value of
    every cell). All interleavings are looked at. Reduction would leave schedules out.
    """
    meter = Meter(budget or Budget(), progress)
    survey = _Survey(machine, matters or (lambda state: state & ~machine.layout.pc_mask), meter)
    try:
        survey.walk()
        survey.count()
        survey.find_ways()
    except STOPPED as stopped:
        return Endings((), len(survey.into), meter.transitions, why(stopped))
    return Endings(survey.endings(), len(survey.into), meter.transitions)


def _sum(numbers: Any) -> int | None:
    total = 0
    for number in numbers:
        if number is None:
            return None
        total += number
    return total


@dataclass
class _Found:
    """An ending while it is being counted."""

    places: set[tuple[int, int]] = field(default_factory=set)
    schedules: int | None = 0
    schedule: tuple[int, ...] | None = None


class _Survey:
    def __init__(self, machine: Machine, matters: Callable[[int], Hashable], meter: Meter) -> None:
        self.machine = machine
        self.matters = matters
        self.meter = meter
        self.into = {machine.initial: 0}
        """State -> how many transitions lead into it."""
        self.found: dict[tuple[Violation | None, Hashable], _Found] = {}
        self.ends: dict[int, tuple[Violation | None, Hashable]] = {}
        """State in which an execution is over -> how."""

    def walk(self) -> None:
        """Meet every state."""
        machine, into = self.machine, self.into
        stillborn = machine.stillborn()
        if stillborn is not None:
            self.ends[machine.initial] = (stillborn, None)
            return
        work = deque(into)
        while work:
            state = work.popleft()
            self.meter.tick(len(into))
            following = list(machine.moves(state))
            for _, after in following:
                self.meter.transitions += 1
                if isinstance(after, int):
                    if after not in into:
                        into[after] = 0
                        work.append(after)
                    into[after] += 1
            if not following:
                violation = machine.ends_badly(state)
                self.ends[state] = (
                    violation,
                    None if violation is not None else self.matters(state),
                )

    def count(self) -> None:
        """Give every ending its states and its schedules, by Kahn's algorithm.

        A state on or behind a cycle is never free.
        """
        left = dict(self.into)
        ways = {self.machine.initial: 1}
        free = [self.machine.initial] if not left[self.machine.initial] else []
        while free:
            state = free.pop()
            del left[state]
            here = ways.pop(state)
            self.note(state, here)
            for _, after in self.following(state):
                if isinstance(after, int):
                    left[after] -= 1
                    ways[after] = ways.get(after, 0) + here
                    if not left[after]:
                        free.append(after)
        for state in left:
            self.note(state, None)
        self.note_endless(list(left))

    def following(self, state: int) -> list[tuple[int, Any]]:
        return [] if state in self.ends else list(self.machine.moves(state))

    def note(self, state: int, ways: int | None) -> None:
        if state in self.ends:
            self.add(self.ends[state], (state, -1), ways)
        for cpu, after in self.following(state):
            if isinstance(after, Violation):
                self.add((after, None), (state, cpu), ways)

    def add(
        self, ending: tuple[Violation | None, Hashable], place: tuple[int, int], ways: int | None
    ) -> None:
        found = self.found.setdefault(ending, _Found())
        found.places.add(place)
        found.schedules = _sum((found.schedules, ways))

    def note_endless(self, states: list[int]) -> None:
        """Note the states from which nothing ends; `states` lie on or behind a cycle."""
        before: dict[int, list[int]] = {}
        ending = []
        for state in states:
            following = self.following(state)
            if not following or any(isinstance(after, Violation) for _, after in following):
                ending.append(state)
            for _, after in following:
                if isinstance(after, int):
                    before.setdefault(after, []).append(state)
        can_end = set(ending)
        while ending:
            for state in before.get(ending.pop(), ()):
                if state not in can_end:
                    can_end.add(state)
                    ending.append(state)
        lost = [state for state in states if state not in can_end]
        endless = never_ending(self.machine, lost, self.meter)
        if endless is not None:
            for state in lost:
                self.ends[state] = (endless[1], None)
                self.add(self.ends[state], (state, -1), 0)

    def find_ways(self) -> None:
        """Find a way to each ending: Dijkstra's algorithm over states and the CPU that ran last."""
        start = (self.machine.initial, -1)
        costs = {start: 0}
        came_from: dict[tuple[int, int], tuple[int, int]] = {}
        queue = [(0, *start)]
        missing = len(self.found)
        while queue and missing:
            cost, state, last = heappop(queue)
            if costs.get((state, last), cost) < cost:
                continue
            self.meter.tick(len(costs))
            ending = self.ends.get(state)
            if state < 0:
                # Just past a step that breaks a rule. It has a place of its own, so the queue
                # settles which such step is the cheapest.
                before, _ = came_from[state, last]
                broken = dict(self.machine.moves(before))[last]
                ending = (broken if isinstance(broken, Violation) else None, None)
            if ending is not None:
                found = self.found[ending]
                if found.schedule is None:
                    missing -= 1
                    found.schedule = way_to_arrival((state, last), came_from)
                continue
            moves = dict(self.machine.moves(state))
            for cpu, after in moves.items():
                price = cost + 1 + (PREEMPTION if last in moves and cpu != last else 0)
                place = (after if isinstance(after, int) else -1 - len(came_from), cpu)
                if price < costs.get(place, 1 << 60):
                    costs[place] = price
                    came_from[place] = (state, last)
                    heappush(queue, (price, *place))

    def endings(self) -> tuple[Ending, ...]:
        found = [
            Ending(
                violation,
                value,
                len({state for state, _ in ending.places}),
                ending.schedules,
                ending.schedule or (),
            )
            for (violation, value), ending in self.found.items()
        ]
        many = [float("inf") if ending.schedules is None else ending.schedules for ending in found]
        order = sorted(
            range(len(found)),
            key=lambda number: (found[number].violation is not None, -many[number]),
        )
        return tuple(found[number] for number in order)
