"""When was it too late? The step of a run after which nothing could be saved any more.

Jin, Ravi & Somenzi, "Fate and free will in error traces" (TACAS 2002), tell apart two kinds of
parts in a counterexample: in one the environment could still have avoided the error, in the other
the error was bound to come. Here the environment chooses which CPU runs next.

Executions are taken to be fair. If one could reach something again and again, and never does
because the same few CPUs are always chosen, it does not count as having avoided it. So in a finite
graph of states an execution has avoided a goal in two cases: it has ended without it, or it has
come to a state from which no way leads there. To spin for ever is not a good ending (see
`mmlocks.search.endless`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from mmlocks.machine.machine import Machine
from mmlocks.machine.run import Run
from mmlocks.search.verdict import STOPPED, Budget, Meter, Progress, why
from mmlocks.search.ways import way_to


class Certainty(NamedTuple):
    """Whether something is bound to happen.

    `found` is True if every fair execution comes to it, and False if one does not: `schedule`. It
    is None if the budget was used up before that was known; `reason` says which budget.
    """

    found: bool | None
    schedule: tuple[int, ...] | None
    states: int
    transitions: int
    reason: str = ""


def unavoidable(
    machine: Machine,
    goal: Callable[[int], bool] | None = None,
    start: int | None = None,
    budget: Budget | None = None,
    progress: Progress | None = None,
) -> Certainty:
    """Whether every execution from `start` (default: the first state) comes to the `goal`.

    Without a goal: whether every execution comes to a violation. That is a broken rule, a deadlock,
    or never coming to an end.

    The schedule of an execution that avoids the goal leads to an ending, or to a state from which
    the goal is out of reach. One that avoids every violation is a shortest one. The search uses no
    reduction, since a goal lies in the middle of executions.
    """
    meter = Meter(budget or Budget(), progress)
    walk = _Walk(machine, goal, machine.initial if start is None else start, meter)
    try:
        schedule = walk.avoiding()
    except STOPPED as stopped:
        return Certainty(None, None, len(walk.before), meter.transitions, why(stopped))
    return Certainty(schedule is None, schedule, len(walk.before), meter.transitions)


class _Walk:
    """All that can happen from a state until the goal, breadth first."""

    def __init__(
        self, machine: Machine, goal: Callable[[int], bool] | None, start: int, meter: Meter
    ) -> None:
        self.machine = machine
        self.goal = goal
        self.meter = meter
        self.before: dict[int, list[int]] = {start: []}
        """Each state that was met -> the states just before it."""
        self.came_from: dict[int, tuple[int, int]] = {}
        self.queue = deque([start])
        self.reached: list[int] = []
        """The states with the goal."""

    def avoiding(self) -> tuple[int, ...] | None:
        """The schedule of an execution that avoids the goal; None if all come to it."""
        machine, goal, meter = self.machine, self.goal, self.meter
        while self.queue:
            state = self.queue.popleft()
            if goal is not None and goal(state):
                self.reached.append(state)
                continue
            meter.tick(len(self.before))
            over = True
            for cpu, after in machine.moves(state):
                over = False
                meter.transitions += 1
                if isinstance(after, int):
                    self.meet(state, cpu, after)
                elif goal is not None:  # this execution ends here, without the goal
                    return (*way_to(state, self.came_from), cpu)
            if over and (goal is not None or ends_well(machine, state)):
                return way_to(state, self.came_from)
        return self.way_out_of_reach() if goal is not None else None

    def meet(self, state: int, cpu: int, after: int) -> None:
        """Note that a step of `cpu` leads from `state` to `after`."""
        if after not in self.before:
            self.before[after] = []
            self.came_from[after] = (state, cpu)
            self.queue.append(after)
        self.before[after].append(state)

    def way_out_of_reach(self) -> tuple[int, ...] | None:
        """The schedule to a state from which no way leads to the goal; None if there is none."""
        leading = set(self.reached)
        work = list(self.reached)
        while work:
            for state in self.before[work.pop()]:
                if state not in leading:
                    leading.add(state)
                    work.append(state)
        lost = next((state for state in self.before if state not in leading), None)
        return None if lost is None else way_to(lost, self.came_from)


def ends_well(machine: Machine, state: int) -> bool:
    """Whether every task has returned here, and no rule is broken."""
    return machine.finished(state) and machine.judge(state) is None


@dataclass(frozen=True)
class NoReturn:
    """The step of a run after which its bad end could not be avoided any more.

    `step` counts from 1: just before it some continuation still ends well, after it none does. It
    is 0 if none ever did, and None if the budget ended first (`reason` says which). Then it is only
    known that after `at_most` steps nothing could be saved. `way_out` is a continuation that ends
    well, from just before `step`.
    """

    step: int | None
    at_most: int
    way_out: tuple[int, ...] | None
    states: int
    reason: str = ""


def no_return(run: Run, meter: Meter) -> NoReturn:
    """The point of no return of a run that ends badly.

    It is found from the run's end, and every state from which nothing ends well is looked at once.
    """
    machine = run.machine
    broken = bool(run.taken) and run.taken[-1].violation is not None
    doomed: set[int] = set()
    at_most = len(run)
    try:
        for number in reversed(range(len(run) + (not broken))):
            way = _way_to_end_well(machine, run.states[number], doomed, meter)
            if way is not None:
                return NoReturn(number + 1, number + 1, way, len(doomed))
            at_most = number
    except STOPPED as stopped:
        return NoReturn(None, at_most, None, len(doomed), why(stopped))
    return NoReturn(0, 0, None, len(doomed))


def _way_to_end_well(
    machine: Machine, start: int, doomed: set[int], meter: Meter
) -> tuple[int, ...] | None:
    """A way from `start` to a good ending, depth first.

    If there is none, all states that were met join the `doomed`.
    """
    came_from: dict[int, tuple[int, int]] = {}
    seen = {start}
    work = [start]
    while work:
        state = work.pop()
        meter.tick(len(seen) + len(doomed))
        if ends_well(machine, state):
            return way_to(state, came_from)
        for cpu, after in machine.moves(state):
            if not isinstance(after, int):
                continue
            meter.transitions += 1
            if after not in seen and after not in doomed:
                seen.add(after)
                came_from[after] = (state, cpu)
                work.append(after)
    doomed |= seen
    return None
