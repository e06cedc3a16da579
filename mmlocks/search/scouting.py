"""A quick look ahead: most of what the tasks can come to, seen from a few states of each depth.

The reduction reads what may come off the tasks' automata, and automata grow as they are walked. Walking at random goes nowhere far: what is
rare stays unseen. So scouts advance in a front, all CPUs' choices followed, and only so many of each depth go on (beam search).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import suppress

from mmlocks.errors import ScenarioTooSmall
from mmlocks.machine.machine import Machine
from mmlocks.search.reduction import Reduction

PASSES = 24
DEPTH = 400
"""Steps that a front takes at most: a loop would keep it going for ever."""
DISCOVERIES = 2_000
"""New moments and results in one pass, after which it is left: code that does something new whenever it is run is found out by the search."""


def scout(
    machine: Machine, width: int, patience: int = 0, glance: Callable[[], None] = lambda: None
) -> None:
    """Discover automata by following `width` states of each depth, until `patience` passes in a row after the first discover nothing more.

    Only speed depends on it. The seeds are fixed: searches are reproducible. `glance` is called every few milliseconds, and may raise.
    """
    # One execution first, from its start to its end: code that does not do the same twice is noticed when it first returns.
    _advance(machine, 1, random.Random(0), glance)
    idle = 0
    for seed in range(PASSES):
        growth = _growth(machine)
        _advance(machine, width, random.Random(seed), glance)
        idle = idle + 1 if _growth(machine) == growth else 0
        if idle >= patience:
            return


def _advance(
    machine: Machine, width: int, chance: random.Random, glance: Callable[[], None]
) -> None:
    reduction = Reduction(machine)
    reduction.refresh()
    enough = _growth(machine) + DISCOVERIES
    front = {machine.initial}
    for _ in range(DEPTH):
        if not front or _growth(machine) > enough:
            return
        glance()
        if len(front) > width:
            front = set(chance.sample(sorted(front), width))
        following: set[int] = set()
        for state in front:
            # Where a scenario is too small for a scout, it need not be so for the search, which does not follow loops that far.
            with suppress(ScenarioTooSmall):
                following.update(_next(machine, state, reduction.choose(state)))
        front = following


def _next(machine: Machine, state: int, chosen: int) -> Iterator[int]:
    """The states after a step of each of the chosen CPUs."""
    for cpu in machine.cpus:
        if chosen >> cpu & 1:
            outcome = machine.outcome(state, machine.node(state, cpu), cpu)
            if isinstance(outcome, int):
                yield state + outcome


def _growth(machine: Machine) -> int:
    return sum(task.growth for task in machine.tasks)
