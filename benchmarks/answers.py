"""What somebody waits for at a prompt: the first violation, and the shortest way to it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from mmlocks.machine import Run
from mmlocks.scenarios import Checked, Scenario, check, machine_for
from mmlocks.scenarios.checking import as_kernel
from mmlocks.search import Budget, Exhaustive
from mmlocks.search.verdict import Meter


def first(scenario: Scenario, release: str) -> dict[str, Any]:
    """Search until anything is found, and do not ask for the shortest way there."""
    started = time.perf_counter()
    machine, _ = machine_for(scenario, as_kernel(release))
    found = Exhaustive().explore(machine, Meter(Budget()), stop=True)
    if (
        found.violation is None
    ):  # seen by an oracle that looks at the machine when all has been searched
        found.violation = check(scenario, release).verdict.violation
    return {
        "violation": found.violation.oracle if found.violation else None,
        "states": found.states,
        "seconds": time.perf_counter() - started,
    }


def shown(scenario: Scenario, release: str) -> dict[str, Any]:
    """The whole verdict, with the shortest schedule."""
    started = time.perf_counter()
    checked = check(scenario, release)
    seconds = time.perf_counter() - started
    schedule = checked.verdict.schedule
    return {
        "violation": checked.verdict.violation.oracle if checked.verdict.violation else None,
        "minimal": checked.verdict.minimal,
        "steps": None if schedule is None else len(schedule),
        "preemptions": preemptions(checked),
        "seconds": seconds,
    }


def preemptions(checked: Checked) -> int | None:
    """How often the schedule takes the CPU away from a task that could go on; None if there is no schedule."""
    if checked.verdict.schedule is None:
        return None
    cpus = checked.verdict.schedule
    states = Run.replay(checked.machine, cpus).states
    return sum(
        before != now and before in checked.machine.enabled(state)
        for before, now, state in zip(cpus, cpus[1:], states[1:], strict=False)
    )


WAYS: dict[str, Callable[[Scenario, str], dict[str, Any]]] = {"first": first, "shown": shown}
