"""The closest execution that ends well: how little would have had to be different?

A counterexample says most beside an execution that is nearly the same and succeeds (Groce, Chaki,
Kroening & Strichman, "Error explanation with distance metrics", STTT 2006). Of two executions the
closer one has more first steps in common with the bad one. Then the one with fewer preemptions is
closer, and then the one with fewer steps, as in `mmlocks.search.shortest`.

The two part at the bad one's point of no return: until then an execution can still end well.
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
    """The closest execution that ends well.

    `run` takes the bad one's first `common` steps. After them it has `preemptions`: switches away
    from a CPU that could go on.
    Where the budget ended before the closest one was known, `closest` is False and `run` is another
    one that ends well and has as many steps in common; `reason` says which budget.
    """

    run: Run
    common: int
    preemptions: int | None
    closest: bool
    reason: str = ""


def twin(bad: Run, common: int, way_out: tuple[int, ...], meter: Meter) -> Twin:
    """The twin of a bad run: it keeps the first `common` steps and ends well.

    `way_out` is some way to go on from there and end well.

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
