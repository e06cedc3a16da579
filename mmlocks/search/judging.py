"""Can this program go wrong? Search everything, then show what was found in the shortest way."""

from __future__ import annotations

from dataclasses import replace

from mmlocks.errors import NondeterminismError
from mmlocks.machine.machine import Machine, Violation
from mmlocks.search.endless import never_ending
from mmlocks.search.exhaustive import Exhaustive, explore
from mmlocks.search.possible import possible
from mmlocks.search.shortest import shortest
from mmlocks.search.verdict import (
    STOPPED,
    TOO_SMALL,
    Budget,
    Exploration,
    Meter,
    Progress,
    Strategy,
    Verdict,
    why,
)


def judge(
    machine: Machine,
    budget: Budget | None = None,
    progress: Progress | None = None,
    reduced: bool = True,
    strategy: Strategy | None = None,
) -> Verdict:
    """Search all interleavings of `machine`, or those that a `strategy` looks at.

    A violation is shown by its shortest schedule. Whatever the tasks' code does, an answer comes
    back: code that is not deterministic is a violation as well.
    """
    meter = Meter(budget or Budget(), progress)
    try:
        return _judged(machine, meter, reduced, strategy or Exhaustive(reduced))
    except NondeterminismError as problem:
        violation = Violation("mistake", str(problem))
        return Verdict("violated", 0, meter.transitions, meter.seconds, violation=violation)


def _judged(machine: Machine, meter: Meter, reduced: bool, strategy: Strategy) -> Verdict:
    budget, progress = meter.budget, meter.progress
    found = Exploration("nothing searched")
    endless = None
    try:
        found = strategy.explore(machine, meter)
        machine.verify()
        if found.outcome == "safe":
            machine.rehearse()
            endless = never_ending(machine, found.seen, meter)
    except STOPPED as stopped:
        if found.violation is None:
            found.reason = why(stopped)
    if TOO_SMALL in found.reason:
        machine.verify()  # code that asks for more at random is wrong: no scenario would do
    violation, schedule, minimal = found.violation, None, False
    left = replace(budget, seconds=max(1.0, budget.seconds - meter.seconds))
    if endless is not None:
        state, violation = endless
        schedule = possible(machine, lambda at: at == state, left, progress).schedule
    elif violation is not None:
        best = shortest(machine, Meter(left, progress))
        if best is not None:
            violation, schedule, minimal = best.violation, best.schedule, True
        else:
            # The budget did not suffice for the shortest way: show one that a search finds.
            shown = found
            if found.schedule is None:
                shown = explore(machine, Meter(budget), reduced, remember=True)
            violation, schedule = shown.violation or violation, shown.schedule
    return Verdict(
        found.outcome if violation is None else "violated",
        found.states,
        found.transitions,
        meter.seconds,
        found.searched,
        found.left_out,
        found.executions,
        violation,
        schedule,
        minimal,
        found.reason,
        len(found.endings),
    )
