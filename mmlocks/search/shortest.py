"""The shortest bad execution: fewest preemptions, and among those the fewest steps.

A preemption takes the CPU away from a task that could go on. People follow a task until it blocks or ends; what they must
remember is where it was cut off. So preemptions are counted first (Musuvathi & Qadeer, "Iterative context bounding", PLDI 2007).
No reduction here: it keeps some execution of every kind, not the shortest.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import NamedTuple

from mmlocks.machine.machine import Machine, Violation
from mmlocks.search.verdict import STOPPED, Meter
from mmlocks.search.ways import way_to_place

PREEMPTION = 1 << 20
"""Weight of a preemption against a step: no execution has that many steps."""


class Shortest(NamedTuple):
    """A violation and the schedule that leads to it."""

    violation: Violation
    schedule: tuple[int, ...]
    preemptions: int


def shortest(machine: Machine, meter: Meter) -> Shortest | None:
    """The violation with the cheapest schedule; None if there is none, or the budget did not suffice to know."""
    stillborn = machine.stillborn()
    if stillborn is not None:
        return Shortest(stillborn, (), 0)
    # A place in this search is a state and the CPU that ran last; -1 before the first step.
    start = (machine.initial, -1)
    costs = {start: 0}
    parents: dict[tuple[int, int], tuple[int, int]] = {}
    queue: list[tuple[int, int, int, Violation | None]] = [(0, machine.initial, -1, None)]
    ticks = 0
    try:
        while queue:
            cost, state, last, violation = heappop(queue)
            if violation is not None:
                return Shortest(violation, way_to_place((state, last), parents), cost // PREEMPTION)
            if costs[state, last] < cost:
                continue
            ticks += 1
            if ticks % meter.every == 0:
                meter.check(len(costs))
            outcomes = [
                machine.outcome(state, machine.node(state, cpu), cpu) for cpu in machine.cpus
            ]
            going_on = last >= 0 and outcomes[last] is not None
            ended = True
            for cpu, outcome in enumerate(outcomes):
                if outcome is None:
                    continue
                ended = False
                meter.transitions += 1
                price = cost + 1 + (PREEMPTION if going_on and cpu != last else 0)
                if isinstance(outcome, Violation):
                    # A place of its own, just past the bad step, so that the queue settles which one is cheapest.
                    place = (-1 - len(parents), cpu)
                    parents[place] = (state, last)
                    heappush(queue, (price, *place, outcome))
                    continue
                place = (state + outcome, cpu)
                if price < costs.get(place, 1 << 60):
                    costs[place] = price
                    parents[place] = (state, last)
                    heappush(queue, (price, *place, None))
            if ended:
                bad = machine.judge(state) if machine.finished(state) else machine.deadlock(state)
                if bad is not None:
                    return Shortest(bad, way_to_place((state, last), parents), cost // PREEMPTION)
    except STOPPED:
        return None
    return None
