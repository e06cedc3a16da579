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
    verdict = Verdict(
        found.outcome,
        found.states,
        found.transitions,
        meter.seconds,
        found.searched,
        found.left_out,
        found.executions,
        violation=found.violation,
        reason=found.reason,
        endings=len(found.endings),
    )
    left = replace(budget, seconds=max(1.0, budget.seconds - meter.seconds))
    if endless is not None:
        state, violation = endless
        way = possible(machine, lambda at: at == state, left, progress).schedule
        return replace(
            verdict, outcome="violated", violation=violation, schedule=way, seconds=meter.seconds
        )
    if found.violation is None:
        return verdict
    best = shortest(machine, Meter(left, progress))
    if best is not None:
        return replace(
            verdict,
            violation=best.violation,
            schedule=best.schedule,
            minimal=True,
            seconds=meter.seconds,
        )
    # The budget did not suffice to find the shortest way: show the one that a search finds first.
    if found.schedule is None:
        found = explore(machine, Meter(budget), reduced, remember=True)
    return replace(verdict, violation=found.violation or verdict.violation, schedule=found.schedule)
