"""Some executions, one after another: what can still be done with a program that is too large to be searched.

A random walk lets each of the CPUs that can run take the next step with the same chance. It keeps no states, so it needs no memory, cannot
know when it has seen everything, and proves nothing. The chance to meet a bug falls exponentially with the number of choices that must
come out right; `mmlocks.search.pct` chooses better and says how well.
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
"""Steps after which an execution is cut off. Only one in which somebody spins for ever should come so far."""
CHECK = 256
"""Steps between two looks at the clock: fewer than where states are kept, as more of them run a task's code for the first time."""

Choose = Callable[[int, list[int]], int]
"""Decides who is next in one execution: called with the state and the CPUs that can run there, in ascending order."""


@dataclass(frozen=True)
class RandomWalk:
    """So many `executions`, chosen at random step by step; a larger number begins with the same ones. Raises ModelError below 1."""

    executions: int = 1_000
    seed: int = 0

    def __post_init__(self) -> None:
        insist_on_executions(self.executions)

    def explore(self, machine: Machine, meter: Meter, stop: bool = True) -> Exploration:
        """See `Strategy`. Nothing is ever called safe. Budgets of states do not matter, as none are kept."""
        found = Exploration(f"random walk (seed {self.seed})", left_out="all other executions")
        chance = random.Random(self.seed)
        follow(
            machine,
            meter,
            found,
            repeat(lambda _, able: chance.choice(able), self.executions),
            stop,
        )
        return found


def insist_on_executions(number: int) -> None:
    """Raise ModelError unless there is anything to follow."""
    if number < 1:
        raise ModelError(f"a search cannot follow {number} executions. Say 1 or a number above.")


def follow(
    machine: Machine, meter: Meter, found: Exploration, plans: Iterable[Choose], stop: bool, longest: int = LONGEST
) -> int:  # fmt: skip
    """Follow one execution for each plan, and note in `found` what there is to see; `stop` at the first violation.

    Returns how many executions became too long and were cut off.
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
        while able := machine.enabled(state):
            if len(schedule) == self.longest:
                self.cut_off += 1
                break
            cpu = choose(state, able)
            schedule.append(cpu)
            outcome = machine.outcome(state, machine.node(state, cpu), cpu)
            meter.transitions += 1
            if meter.transitions % CHECK == 0:
                meter.check(0)
            if isinstance(outcome, Violation):
                found.report(outcome, tuple(schedule))
                break
            state += outcome
        else:
            if state not in self.judged:
                self.judged[state] = found.end(machine, state)
            violation = self.judged[state]
            if violation is not None:
                found.report(violation, tuple(schedule))
        found.executions += 1
