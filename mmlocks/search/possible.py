"""Is there an execution that reaches a goal? A goal is a predicate over states.

The answer is a witness, or a proof that there is none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from mmlocks.machine.machine import Machine, Violation
from mmlocks.search.verdict import STOPPED, Budget, Meter, Progress, why
from mmlocks.search.ways import way_to


class Witness(NamedTuple):
    """Whether an execution reaches the goal.

    `found` is True with a shortest `schedule` that reaches it, and False if no execution does. It
    is None if the budget was used up first; `reason` then says which one.
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
    """Search for the goal breadth first over all states.

    Without reduction: that keeps final states, and a goal lies in the middle. An execution that
    breaks a rule counts up to the step that breaks it. With `allowed`, a CPU takes a step only in
    the states where `allowed(state, cpu)` holds.
    """
    meter = Meter(budget or Budget(), progress)
    came_from: dict[int, tuple[int, int]] = {}
    queue = deque([machine.initial])
    seen = {machine.initial}
    try:
        while queue:
            state = queue.popleft()
            if goal(state):
                return Witness(True, way_to(state, came_from), len(seen), meter.transitions)
            meter.tick(len(seen))
            for cpu, after in machine.moves(state):
                if isinstance(after, Violation) or (allowed and not allowed(state, cpu)):
                    continue
                meter.transitions += 1
                if after not in seen:
                    seen.add(after)
                    came_from[after] = (state, cpu)
                    queue.append(after)
    except STOPPED as stopped:
        return Witness(None, None, len(seen), meter.transitions, why(stopped))
    return Witness(False, None, len(seen), meter.transitions)
