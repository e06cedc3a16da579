"""A quick look ahead: most of what the tasks can come to, seen from a few states of each depth.

The reduction reads what may come off the tasks' automata, and automata grow as they are walked. Walking at random goes nowhere far: what is
rare stays unseen. So scouts advance in a front, all CPUs' choices followed, and only so many of each depth go on (beam search).
"""

from __future__ import annotations

import random

from mmlocks.machine.machine import Machine
from mmlocks.search.reduction import Reduction

PASSES = 24


def scout(machine: Machine, width: int, patience: int = 0) -> None:
    """Discover automata by following `width` states of each depth, until `patience` passes in a row after the first discover nothing more.

    Only speed depends on it. The seeds are fixed: searches are reproducible.
    """
    idle = 0
    for seed in range(PASSES):
        growth = _growth(machine)
        _advance(machine, width, random.Random(seed))
        idle = idle + 1 if _growth(machine) == growth else 0
        if idle >= patience:
            return


def _advance(machine: Machine, width: int, chance: random.Random) -> None:
    reduction = Reduction(machine)
    reduction.refresh()
    front = {machine.initial}
    # A loop would keep a front going for ever. No execution without one is longer than all nodes together.
    for _ in range(10 * sum(len(task.nodes) for task in machine.tasks) + 1_000):
        if not front:
            return
        if len(front) > width:
            front = set(chance.sample(sorted(front), width))
        following = set()
        for state in front:
            chosen = reduction.choose(state)
            for cpu in machine.cpus:
                if chosen >> cpu & 1:
                    outcome = machine.outcome(state, machine.node(state, cpu), cpu)
                    if isinstance(outcome, int):
                        following.add(state + outcome)
        front = following


def _growth(machine: Machine) -> int:
    return sum(task.growth for task in machine.tasks)
