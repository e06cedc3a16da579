"""Probabilistic concurrency testing: random priorities meet simple bugs with a known probability.

Burckhardt, Kothari, Musuvathi & Nagarakatte, "A randomized scheduler with probabilistic guarantees
of finding bugs", ASPLOS 2010. Each CPU has a priority of its own, in random order. Of the CPUs that
can run, the one with the highest priority runs. At d-1 steps, chosen in advance at random, the CPU
that has just run falls below all that have not fallen.

The *depth* of a bug is the smallest number of orderings "this step comes before that one" which
together bring it about: 1 if something is simply done too early, 2 for a read and a write torn
apart or for two locks taken in opposite orders. Let a program have n CPUs, and let its executions
have at most k steps. Then each execution that is chosen so meets a given bug of depth d with a
probability of at least 1/(n k^(d-1)). A random walk's chance can fall exponentially with k.

k is the length of the longest execution so far. So the promise holds only for the executions that
came after k had last grown.

If the CPU with the highest priority spins, all others would wait for it (the paper leaves that to
heuristics). Here a CPU that makes a state come back goes round in circles, and falls below all
others as well. Nothing is promised then: executions that can go round have no longest one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from mmlocks.errors import ModelError
from mmlocks.machine.machine import Machine
from mmlocks.search.verdict import Exploration, Meter
from mmlocks.search.walk import Choose, follow, insist_on_executions

DEEPEST = 100
"""Far above anything useful: each level divides the promise by another k."""


@dataclass(frozen=True)
class Pct:
    """So many `executions` that look for bugs of a `depth`. Raises ModelError for less than 1.

    A larger number begins with the same executions.
    """

    depth: int = 3
    executions: int = 1_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.depth <= DEEPEST:
            raise ModelError(
                f"a search cannot look for bugs of depth {self.depth}. "
                f"Say a number from 1 to {DEEPEST}."
            )
        insist_on_executions(self.executions)

    def explore(self, machine: Machine, meter: Meter, stop: bool = True) -> Exploration:
        """See `Strategy`. Nothing is ever called safe. No states are kept: their budget is idle."""
        found = Exploration(
            f"random priorities (PCT for bugs of depth {self.depth}, seed {self.seed})",
            left_out="all other executions",
        )
        plans = _Plans(self, len(machine.cpus))
        cut_off = follow(machine, meter, found, plans, stop)
        if plans.promising and not plans.circles and not cut_off:
            found.left_out += f" ({plans.promise})"
        return found


class _Plans:
    """A plan for each execution; it uses the length of the longest execution before it."""

    def __init__(self, strategy: Pct, cpus: int) -> None:
        self.strategy = strategy
        self.cpus = cpus
        self.longest = 1
        self.promising = 0
        self.circles = False

    def __iter__(self) -> Iterator[Choose]:
        chance = random.Random(self.strategy.seed)
        for _ in range(self.strategy.executions):
            plan = _Priorities(chance, self.cpus, self.strategy.depth, self.longest)
            yield plan.choose
            self.promising += 1
            self.circles |= plan.circles
            if plan.steps > self.longest:
                self.longest, self.promising = plan.steps, 0

    @property
    def promise(self) -> str:
        """What theory says of the executions that were followed."""
        n, k, d = self.cpus, self.longest, self.strategy.depth
        return (
            f"if none has more than {k:,} steps, each of the last {self.promising:,} had a chance "
            f"of at least 1 in {n * k ** (d - 1):,} to meet a given bug of depth {d}"
        )


class _Priorities:
    """The plan of one execution: a priority for each CPU, and the steps after which one falls."""

    def __init__(self, chance: random.Random, cpus: int, depth: int, longest: int) -> None:
        self.priority = chance.sample(range(depth, depth + cpus), cpus)
        self.falls = {chance.randint(1, longest): depth - change for change in range(1, depth)}
        self.been: set[int] = set()
        self.steps = 0
        self.last = 0
        self.circles = False

    def choose(self, state: int, able: list[int]) -> int:
        """The CPU with the highest priority."""
        if state in self.been:
            self.circles = True
            self.priority[self.last] = min(self.priority) - 1
        else:
            self.been.add(state)
            self.steps += 1
        cpu = self.last = max(able, key=self.priority.__getitem__)
        if self.steps in self.falls:
            self.priority[cpu] = self.falls.pop(self.steps)
        return cpu
