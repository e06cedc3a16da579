"""Some executions, one after another: what can be done with a program that is too large to search.

A random walk lets each CPU that can run take the next step with the same chance. It keeps no
states. So it needs no memory, cannot know when it has seen everything, and proves nothing. The
chance to meet a bug falls exponentially with the number of choices that must come out right;
`mmlocks.search.pct` chooses better, and says how well.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import repeat

from mmlocks.errors import ModelError
from mmlocks.machine.machine import Machine, Violation
from mmlocks.search.verdict import STOPPED, Exploration, Meter, why

LONGEST = 5_000
"""Steps after which an execution is cut off. Only one that spins for ever should come so far."""
CHECK = 256
"""Steps between two looks at the clock.

Fewer than where states are kept: more of these steps run a task's code for the first time.
"""

Choose = Callable[[int, list[int]], int]
"""Decides which CPU is next: called with a state and the CPUs that can run there, in order."""


@dataclass(frozen=True)
class RandomWalk:
    """So many `executions`, chosen at random step by step. Raises ModelError for less than 1.

    A larger number begins with the same executions.
    """

    executions: int = 1_000
    seed: int = 0

    def __post_init__(self) -> None:
        insist_on_executions(self.executions)

    def explore(self, machine: Machine, meter: Meter, stop: bool = True) -> Exploration:
        """See `Strategy`. Nothing is ever called safe. No states are kept: their budget is idle."""
        found = Exploration(f"random walk (seed {self.seed})", left_out="all other executions")
        chance = random.Random(self.seed)
        plans = repeat(lambda _, able: chance.choice(able), self.executions)
        follow(machine, meter, found, plans, stop)
        return found


def insist_on_executions(number: int) -> None:
    """Raise ModelError unless there is at least one execution to follow."""
    if number < 1:
        raise ModelError(f"a search cannot follow {number} executions. Say 1 or a number above.")


def follow(
    machine: Machine,
    meter: Meter,
    found: Exploration,
    plans: Iterable[Choose],
    stop: bool,
    longest: int = LONGEST,
) -> int:
    """Follow one execution for each plan, and note in `found` what it shows.

    With `stop`, end at the first violation. Returns how many executions became too long and were
    cut off.
    """
    stillborn = machine.stillborn()
    if stillborn is not None:
        found.report(stillborn, ())
        return 0
    walks = _Walks(machine, meter, found, longest)
    try:
        for choose in plans:
            walks.follow(choose)
            if stop and found.violation is not None:
                break
    except STOPPED as stopped:
        found.reason = why(stopped)
    found.transitions = meter.transitions
    if walks.cut_off:
        found.left_out += (
            f", and the rest of {walks.cut_off:,} that went on after {longest:,} steps"
        )
    return walks.cut_off


class _Walks:
    def __init__(self, machine: Machine, meter: Meter, found: Exploration, longest: int) -> None:
        self.machine = machine
        self.meter = meter
        self.found = found
        self.longest = longest
        self.cut_off = 0
        self.judged: dict[int, Violation | None] = {}

    def follow(self, choose: Choose) -> None:
        """One execution, to its end, to a violation, or until it has become too long."""
        machine, meter, found = self.machine, self.meter, self.found
        state, schedule = machine.initial, list[int]()
        while moves := dict(machine.moves(state)):
            if len(schedule) == self.longest:
                self.cut_off += 1
                break
            cpu = choose(state, list(moves))
            schedule.append(cpu)
            meter.transitions += 1
            if meter.transitions % CHECK == 0:
                meter.check(0)
            after = moves[cpu]
            if isinstance(after, Violation):
                found.report(after, tuple(schedule))
                break
            state = after
        else:
            if state not in self.judged:
                self.judged[state] = found.end(machine, state)
            violation = self.judged[state]
            if violation is not None:
                found.report(violation, tuple(schedule))
        found.executions += 1
