"""Is there an execution in which ...? A goal is a predicate over states; the answer is a witness, or a proof that none exists."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from mmlocks.machine.machine import Machine
from mmlocks.search.verdict import STOPPED, Budget, Meter, Progress, why
from mmlocks.search.ways import way_to


class Witness(NamedTuple):
    """Whether an execution reaches the goal.

    `found` is True with the schedule that does so in the fewest steps, False if no execution does, None if the budget was used up
    first (`reason` says which).
    """

    found: bool | None
    schedule: tuple[int, ...] | None
    states: int
    transitions: int
    reason: str = ""


def possible(
    machine: Machine,
    goal: Callable[[int], bool],
    budget: Budget | None = None,
    progress: Progress | None = None,
    allowed: Callable[[int, int], bool] | None = None,
) -> Witness:
    """Breadth first over all states, without reduction: reduction keeps final states, and a goal lies in the middle.

    Executions that break a rule count up to the step that breaks it. Only those are looked at in which each CPU takes its steps in states
    where it is `allowed` to.
    """
    meter = Meter(budget or Budget(), progress)
    parents: dict[int, tuple[int, int]] = {}
    queue = deque([machine.initial])
    seen = {machine.initial}
    ticks = 0
    try:
        while queue:
            state = queue.popleft()
            if goal(state):
                return Witness(True, way_to(state, parents), len(seen), meter.transitions)
            ticks += 1
            if ticks % meter.every == 0:
                meter.check(len(seen))
            for cpu in machine.cpus:
                if allowed is not None and not allowed(state, cpu):
                    continue
                outcome = machine.outcome(state, machine.node(state, cpu), cpu)
                if not isinstance(outcome, int):
                    continue
                meter.transitions += 1
                after = state + outcome
                if after not in seen:
                    seen.add(after)
                    parents[after] = (state, cpu)
                    queue.append(after)
    except STOPPED as stopped:
        return Witness(None, None, len(seen), meter.transitions, why(stopped))
    return Witness(False, None, len(seen), meter.transitions)
