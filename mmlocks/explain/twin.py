"""The closest execution that ends well: how little would have had to be different?

A counterexample says most beside an execution that is nearly the same and succeeds (Groce, Chaki, Kroening & Strichman, "Error explanation
with distance metrics", STTT 2006). Close means here, in this order: the two have as many first steps in common as can be; from where they part,
the good one has the fewest preemptions, and then the fewest steps, as counterexamples do (see `mmlocks.search.shortest`).

They part at the bad one's point of no return, since until then, and no longer, something still ends well.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush

from mmlocks.explain.unavoidable import ends_well
from mmlocks.machine.machine import Violation
from mmlocks.machine.run import Run
from mmlocks.search.shortest import PREEMPTION
from mmlocks.search.verdict import STOPPED, Meter, why
from mmlocks.search.ways import way_to_arrival


@dataclass(frozen=True)
class Twin:
    """The closest execution that ends well. `run` takes the bad one's first `common` steps and then `preemptions` away from who could go on.

    Where the budget ended before the closest one was known, `closest` is False and `run` is another one that ends well and has as many steps
    in common; `reason` says which budget.
    """

    run: Run
    common: int
    preemptions: int | None
    closest: bool
    reason: str = ""


def twin(bad: Run, common: int, way_out: tuple[int, ...], meter: Meter) -> Twin:
    """The twin of a bad run, of which the first `common` steps can be kept; `way_out` is some way to go on from there and end well.

    Both are what `no_return` finds.
    """
    machine = bad.machine
    # A place is a state and the CPU that ran last. Dijkstra's algorithm.
    start = (bad.states[common], bad.cpus[common - 1] if common else -1)
    costs = {start: 0}
    came_from: dict[tuple[int, int], tuple[int, int]] = {}
    queue = [(0, *start)]
    try:
        while queue:
            cost, state, last = heappop(queue)
            if costs[state, last] < cost:
                continue
            if ends_well(machine, state):
                way = way_to_arrival((state, last), came_from)
                good = _continued(bad.at(common), way)
                return Twin(good, common, cost // PREEMPTION, True)
            meter.tick(len(costs))
            moves = dict(machine.moves(state))
            for cpu, after in moves.items():
                if isinstance(after, Violation):
                    continue
                meter.transitions += 1
                price = cost + 1 + (PREEMPTION if last in moves and cpu != last else 0)
                place = (after, cpu)
                if price < costs.get(place, 1 << 60):
                    costs[place] = price
                    came_from[place] = (state, last)
                    heappush(queue, (price, *place))
    except STOPPED as stopped:
        return Twin(_continued(bad.at(common), way_out), common, None, False, why(stopped))
    raise AssertionError("the way out does not lead to a good ending")


def _continued(run: Run, cpus: tuple[int, ...]) -> Run:
    for cpu in cpus:
        run = run.step(cpu)
    return run
