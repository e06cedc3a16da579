"""A quick look ahead: most of what the tasks can come to, seen from a few states of each depth.

The reduction reads what may come off the tasks' automata, and these grow as they are walked. A
random walk stays near the common paths and misses what is rare. So scouts advance in a front: they
follow all CPUs' choices, and only a few states of each depth go on (beam search).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress

from mmlocks.errors import ScenarioTooSmall
from mmlocks.machine.machine import Machine
from mmlocks.search.reduction import Reduction

PASSES = 24
DEPTH = 400
"""Steps that a front takes at most: a loop would keep it going for ever."""
DISCOVERIES = 2_000
"""New moments and results after which a pass ends.

Code that does something new at every run is left to the search.
"""


def scout(
    machine: Machine, width: int, patience: int = 0, glance: Callable[[], None] = lambda: None
) -> None:
    """Discover automata by following `width` states of each depth.

    It ends once `patience` passes in a row, after the first, discover nothing more. Only speed
    depends on it. The seeds are fixed: searches are reproducible. `glance` is called every few
    milliseconds, and may raise.
    """
    # One whole execution first: code that does not do the same twice is noticed when it returns.
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
            # Too small for a scout need not be too small for the search: that follows loops less
            # far.
            with suppress(ScenarioTooSmall):
                chosen = reduction.choose(state)
                for cpu, after in machine.moves(state):
                    if chosen >> cpu & 1 and isinstance(after, int):
                        following.add(after)
        front = following


def _growth(machine: Machine) -> int:
    return sum(task.growth for task in machine.tasks)
