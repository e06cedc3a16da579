"""A run as JSON for other programs: everything that each step did.

`trace.schema.json` beside this file, a JSON Schema (draft 2020-12), describes it field by field.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Any

from mmlocks.machine import Run, Schedule, View
from mmlocks.machine.step import parts
from mmlocks.machine.task import Place
from mmlocks.machine.watch import parts_of
from mmlocks.show.holders import HeldLock, holders

FORMAT, VERSION = "mmlocks trace", 1
"""Name and version of the format. The version grows when a field changes its meaning or goes."""


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema of what `trace_json` returns."""
    text = resources.files("mmlocks.show").joinpath("trace.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def trace_json(run: Run, schedule: Schedule | None = None) -> dict[str, Any]:
    """The whole run as plain JSON values. A `schedule` names the scenario and the kernel."""
    machine = run.machine
    violation = run.violation
    return {
        "format": FORMAT,
        "version": VERSION,
        "scenario": schedule and schedule.scenario,
        "kernel": schedule and schedule.kernel,
        "schedule": schedule and str(schedule),
        "cpus": [{"cpu": task.cpu, "task": task.name} for task in machine.tasks],
        "initial": {cell.name: cell.text(cell.of(run.states[0])) for cell in machine.layout.cells},
        "held_at_start": [
            _held(holding) for holding in sorted(holders(machine.layout, run.states[0]))
        ],
        "waiting_at_start": _waiting(run, 0),
        "steps": [_step(run, number) for number in range(len(run))],
        "ending": {
            "kind": _ending(run),
            "violation": violation and {"oracle": violation.oracle, "message": violation.message},
        },
    }


def _ending(run: Run) -> str:
    violation = run.violation
    if violation is not None:
        return "deadlock" if violation.oracle == "deadlock" else "violated"
    return "good" if run.machine.finished(run.state) else "unfinished"


def _step(run: Run, number: int) -> dict[str, Any]:
    taken, before, after = run.taken[number], run.states[number], run.states[number + 1]
    layout = run.machine.layout
    where = run.machine.node(before, taken.cpu).answer.where
    took, released = _locking(run, number)
    return {
        "number": number + 1,
        "cpu": taken.cpu,
        "operations": [part.op for part in parts(taken.step)],
        "did": run.told(number),
        "calls": [
            {"function": place.function, "file": source_file(place), "line": place.line}
            for place in where
        ],
        "changes": [
            {
                "cell": cell.name,
                "before": cell.text(cell.of(before)),
                "after": cell.text(cell.of(after)),
            }
            for cell in layout.cells
            if (before ^ after) & cell.mask
        ],
        "took": [_held(holding) for holding in took],
        "released": [_held(holding) for holding in released],
        "waiting": _waiting(run, number + 1),
        "violation": taken.violation
        and {"oracle": taken.violation.oracle, "message": taken.violation.message},
    }


def _held(holding: HeldLock) -> dict[str, Any]:
    return {"lock": holding.lock, "mode": holding.mode, "cpu": holding.cpu}


def source_file(place: Place) -> str:
    """The file's name, without the folders of this machine."""
    return place.spot.removesuffix(f":{place.line}").removesuffix(f", line {place.line}")


def _waiting(run: Run, at: int) -> list[dict[str, Any]]:
    """The CPUs that cannot run after `at` steps, what each waits for, and which CPUs hold that."""
    found = []
    for cpu in run.machine.cpus:
        why = run.machine.why_blocked(run.states[at], cpu)
        if why is not None:
            found.append(
                {"cpu": cpu, "for": why.awaits, "held_by": list(dict.fromkeys(why.holders))}
            )
    return found


def _locking(run: Run, number: int) -> tuple[list[HeldLock], list[HeldLock]]:
    """The locks that a step took and released; those that its parts took and released too."""
    taken, before = run.taken[number], run.states[number]
    layout = run.machine.layout
    if taken.violation is not None:
        return [], []
    inside = parts_of(View(layout, before, -1, -1), taken.cpu, taken.step)
    moments = [part.before.state + part.before.delta for part in inside] + [run.states[number + 1]]
    held = [holders(layout, moment) for moment in moments]
    took = [holding for one, other in pairwise(held) for holding in sorted(other - one)]
    released = [holding for one, other in pairwise(held) for holding in sorted(one - other)]
    return took, released
