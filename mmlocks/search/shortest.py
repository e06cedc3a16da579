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
from mmlocks.search.ways import Place, way_to_place

PREEMPTION = 1 << 20
"""What a preemption costs, in steps: no execution has that many."""


class Shortest(NamedTuple):
    """A violation and the schedule that leads to it."""

    violation: Violation
    schedule: tuple[int, ...]
    preemptions: int


def shortest(machine: Machine, meter: Meter) -> Shortest | None:
    """The violation with the cheapest schedule; None if there is none, or if the budget ran out.

    Dijkstra's algorithm over places: a state, and the CPU that ran last (-1 before the first step).
    """
    stillborn = machine.stillborn()
    if stillborn is not None:
        return Shortest(stillborn, (), 0)
    costs: dict[Place, int] = {(machine.initial, -1): 0}
    came_from: dict[Place, Place] = {}
    queue: list[tuple[int, int, int, Violation | None]] = [(0, machine.initial, -1, None)]
    try:
        while queue:
            cost, state, last, violation = heappop(queue)
            place = (state, last)
            if violation is None:
                if costs[place] < cost:
                    continue
                meter.tick(len(costs))
                moves = dict(machine.moves(state))
                violation = machine.ends_badly(state) if not moves else None
            if violation is not None:
                return Shortest(violation, way_to_place(place, came_from), cost // PREEMPTION)
            for cpu, after in moves.items():
                meter.transitions += 1
                price = cost + 1 + (PREEMPTION if last in moves and cpu != last else 0)
                if isinstance(after, Violation):
                    # A place of its own behind the bad step: the queue settles which is cheapest.
                    behind = (-1 - len(came_from), cpu)
                    came_from[behind] = place
                    heappush(queue, (price, *behind, after))
                elif price < costs.get((after, cpu), 1 << 60):
                    costs[after, cpu] = price
                    came_from[after, cpu] = place
                    heappush(queue, (price, after, cpu, None))
    except STOPPED:
        pass
    return None
