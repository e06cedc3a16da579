"""The shortest bad execution: fewest preemptions, and among those the fewest steps.

A preemption takes the CPU away from a task that could go on. A reader follows a task until it
blocks or ends, and has to remember where it was cut off. So preemptions count first (Musuvathi &
Qadeer, "Iterative context bounding", PLDI 2007). No reduction here: a reduced search keeps some
execution of every kind, not the shortest one.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import NamedTuple

from mmlocks.machine.machine import Machine, Violation
from mmlocks.search.verdict import STOPPED, Meter
from mmlocks.search.ways import Arrival, way_to_arrival

PREEMPTION = 1 << 20
"""What a preemption costs, in steps: no execution has that many."""


class Shortest(NamedTuple):
    """A violation and the schedule that leads to it."""

    violation: Violation
    schedule: tuple[int, ...]
    preemptions: int


def shortest(machine: Machine, meter: Meter) -> Shortest | None:
    """The violation with the cheapest schedule; None if there is none, or if the budget ran out.

    Dijkstra's algorithm over arrivals: states, each with the CPU whose step led there (-1 before
    the first step).
    """
    stillborn = machine.stillborn()
    if stillborn is not None:
        return Shortest(stillborn, (), 0)
    costs: dict[Arrival, int] = {(machine.initial, -1): 0}
    came_from: dict[Arrival, Arrival] = {}
    queue: list[tuple[int, int, int, Violation | None]] = [(0, machine.initial, -1, None)]
    try:
        while queue:
            cost, state, last, violation = heappop(queue)
            here = (state, last)
            if violation is None:
                if costs[here] < cost:
                    continue
                meter.tick(len(costs))
                moves = dict(machine.moves(state))
                violation = machine.ends_badly(state) if not moves else None
            if violation is not None:
                return Shortest(violation, way_to_arrival(here, came_from), cost // PREEMPTION)
            for cpu, after in moves.items():
                meter.transitions += 1
                price = cost + 1 + (PREEMPTION if last in moves and cpu != last else 0)
                if isinstance(after, Violation):
                    # An arrival of its own behind the bad step: the queue finds the cheapest.
                    behind = (-1 - len(came_from), cpu)
                    came_from[behind] = here
                    heappush(queue, (price, *behind, after))
                elif price < costs.get((after, cpu), 1 << 60):
                    costs[after, cpu] = price
                    came_from[after, cpu] = here
                    heappush(queue, (price, after, cpu, None))
    except STOPPED:
        pass
    return None
