"""When was it too late? Whether all that can follow comes to one thing, and the step of a run after which nothing could be saved any more.

Jin, Ravi & Somenzi, "Fate and free will in error traces" (TACAS 2002), tell apart the parts of a counterexample in which the environment could
still have avoided the error from those in which it was bound to come. Here the environment is whoever chooses which CPU runs next.

Executions are taken to be fair: one that could reach something again and again, and never does because the same few CPUs are chosen for
ever, does not count as having avoided it. So in a finite graph of states an execution has avoided a goal when it has ended without it, or has come
where no way leads there any more. To spin for ever is no good ending (see `mmlocks.search.endless`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from mmlocks.machine.machine import Machine, Violation
from mmlocks.machine.run import Run
from mmlocks.search.verdict import STOPPED, Budget, Meter, Progress, why
from mmlocks.search.ways import way_to


class Certainty(NamedTuple):
    """Whether something is bound to happen.

    `found` is True if every fair execution comes to it, False with the `schedule` of one that does not, None if the budget was used up first
    (`reason` says which).
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
    """Whether every execution that goes on from `start` (a state; default: the first) comes to a state with the `goal`, or, without one, to a violation.

    A violation is a broken rule, a deadlock, or never coming to an end. A schedule that avoids the goal leads to an ending, or to
    where the goal is out of reach; one that avoids every violation is a shortest one. Without reduction: a goal lies in the middle.
    """
    meter = Meter(budget or Budget(), progress)
    first = machine.initial if start is None else start
    came_from: dict[int, tuple[int, int]] = {}
    before: dict[int, list[int]] = {first: []}
    reached: list[int] = []
    queue = deque([first])
    ticks = 0
    try:
        while queue:
            state = queue.popleft()
            if goal is not None and goal(state):
                reached.append(state)
                continue
            ticks += 1
            if ticks % meter.every == 0:
                meter.check(len(before))
            over = True
            for cpu in machine.cpus:
                outcome = machine.outcome(state, machine.node(state, cpu), cpu)
                if outcome is None:
                    continue
                over = False
                meter.transitions += 1
                if isinstance(outcome, Violation):
                    if goal is not None:  # this execution ends here, without the goal
                        return Certainty(
                            False, (*way_to(state, came_from), cpu), len(before), meter.transitions
                        )
                    continue
                after = state + outcome
                if after not in before:
                    before[after] = []
                    came_from[after] = (state, cpu)
                    queue.append(after)
                before[after].append(state)
            if over and (goal is not None or ends_well(machine, state)):
                return Certainty(False, way_to(state, came_from), len(before), meter.transitions)
    except STOPPED as stopped:
        return Certainty(None, None, len(before), meter.transitions, why(stopped))
    if goal is not None:
        # Nothing ended without it. What is left are places from which neither it nor an ending can be reached.
        leading = set(reached)
        while reached:
            for state in before[reached.pop()]:
                if state not in leading:
                    leading.add(state)
                    reached.append(state)
        lost = next((state for state in before if state not in leading), None)
        if lost is not None:
            return Certainty(False, way_to(lost, came_from), len(before), meter.transitions)
    return Certainty(True, None, len(before), meter.transitions)


def ends_well(machine: Machine, state: int) -> bool:
    """Whether every task has returned here, and no rule is broken."""
    return machine.finished(state) and machine.judge(state) is None


@dataclass(frozen=True)
class NoReturn:
    """From which step of a run on its bad end could not be avoided any more.

    `step` counts from 1: just before it some continuation still ends well, after it none does. 0 means that none ever did. It is None where the
    budget ended first (`reason` says which); then it is known only that after `at_most` steps nothing could be saved. `way_out` is a
    continuation that ends well, from just before `step`.
    """

    step: int | None
    at_most: int
    way_out: tuple[int, ...] | None
    states: int
    reason: str = ""


def no_return(run: Run, meter: Meter) -> NoReturn:
    """The point of no return of a run that ends badly, found from its end: every state from which nothing ends well is looked at once."""
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
    """A way from `start` to a good ending, depth first; if there is none, all states that were met join the `doomed`."""
    came_from: dict[int, tuple[int, int]] = {}
    seen = {start}
    work = [start]
    ticks = 0
    while work:
        state = work.pop()
        ticks += 1
        if ticks % meter.every == 0:
            meter.check(len(seen) + len(doomed))
        if ends_well(machine, state):
            return way_to(state, came_from)
        for cpu in machine.cpus:
            outcome = machine.outcome(state, machine.node(state, cpu), cpu)
            if not isinstance(outcome, int):
                continue
            meter.transitions += 1
            after = state + outcome
            if after not in seen and after not in doomed:
                seen.add(after)
                came_from[after] = (state, cpu)
                work.append(after)
    doomed |= seen
    return None
