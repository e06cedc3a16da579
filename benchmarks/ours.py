"""mmlocks itself: each search in a fresh process, timed from outside (`wall`) and from inside (`seconds`)."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

from benchmarks.process import Finished, run

Size = tuple[int, int]
"""VMAs and writers of a fork_many."""
ROOT = Path(__file__).resolve().parents[1]
START_UP = 10.0
"""Seconds that a child gets beyond its search's budget, before it is stopped from outside."""


class MeasurementError(Exception):
    """A measuring process failed; the text is what it printed."""


def fork(
    vmas: int,
    writers: int,
    limit: float,
    release: str = "6.4.3",
    full: bool = False,
    states: int | None = None,
) -> dict[str, Any]:
    """Search one size of fork_many. `wall` is None if the search was not finished within its budget."""
    return {
        "vmas": vmas,
        "writers": writers,
        **_search(["fork", vmas, writers], limit, release, full, states),
    }


def grown(
    axis: str, size: int, limit: float, full: bool = False, states: int | None = None
) -> dict[str, Any]:
    """Search one size of a program that grows along an axis; the rest as for `fork`."""
    return {"axis": axis, "size": size, **_search(["grown", axis, size], limit, "6.4.3", full, states)}


def _search(
    program: list[str | int], limit: float, release: str, full: bool, states: int | None
) -> dict[str, Any]:
    command: list[str | float] = [*program, "--release", release, "--seconds", limit]
    command += ["--full"] if full else []
    command += ["--states", states] if states is not None else []
    finished, figures = _child([str(part) for part in command], limit + START_UP)
    proved = figures["outcome"] != "unproved"
    return {**figures, "wall": finished.seconds if proved else None}


def scenarios() -> list[dict[str, Any]]:
    """Every shipped scenario under every release."""
    rows: list[dict[str, Any]] = _child(["scenarios"], 300.0)[1]
    return rows


def violations(places: list[tuple[str, str]], times: int) -> list[dict[str, Any]]:
    """Scenarios, each on a release on which it is violated, all in one process."""
    named = [f"{scenario}:{release}" for scenario, release in places]
    rows: list[dict[str, Any]] = _child(["violations", "--times", str(times), *named], 300.0)[1]
    return rows


def violation(scenario: str, release: str, first: bool) -> float:
    """Wall seconds of a process that finds one violation, and with `first` stops there."""
    return _child(["violation", scenario, release, *(["--first"] if first else [])], 300.0)[0].seconds


def traces(program: str, limit: float) -> dict[str, Any]:
    """What benchmarks.traces counts of one program."""
    figures: dict[str, Any] = _child(["traces", program, "--seconds", str(limit)], 4 * limit + START_UP)[1]
    return figures


def parallel(size: Size, reduced: bool, workers: int, limit: float) -> dict[str, Any]:
    """One search of fork_many by so many workers; with none, by the exhaustive search itself."""
    options = ["--seconds", str(limit), *([] if reduced else ["--full"])]
    found: dict[str, Any] = _child(["parallel", *map(str, (*size, workers)), *options], limit + START_UP)[1]
    return found


def vma_tree() -> list[dict[str, Any]]:
    """What operations on the tree of VMAs cost."""
    rows: list[dict[str, Any]] = _child(["tree"], 300.0)[1]
    return rows


def reference() -> float:
    """Seconds that the fixed piece of plain Python takes at this moment: the median of three."""
    seconds: float = _child(["reference"], 60.0)[1]
    return seconds


def imports(times: int = 7) -> dict[str, Any]:
    """Milliseconds for the imports that users wait for: the median of fresh processes, the interpreter's start not included."""
    found: dict[str, Any] = {}
    for module in ("mmlocks", "mmlocks.scenarios"):
        clock = (
            f"import time; t = time.perf_counter(); import {module}; print(1000 * (time.perf_counter() - t))"
        )
        runs = [_checked(run([sys.executable, "-c", clock], 60.0, ROOT)) for _ in range(times + 1)]
        # The first run may have to compile the package; all others find its bytecode.
        found[f"import {module}"] = statistics.median(float(finished.output) for finished in runs[1:])
    starts = [_checked(run([sys.executable, "-c", "pass"], 60.0, ROOT)).seconds for _ in range(times)]
    found["python -c pass"] = 1000 * statistics.median(starts)
    return found


def _child(arguments: list[str], limit: float) -> tuple[Finished, Any]:
    finished = _checked(run([sys.executable, "-m", "benchmarks.child", *arguments], limit, ROOT))
    return finished, json.loads(finished.output)


def _checked(finished: Finished) -> Finished:
    if finished.timed_out or finished.status != 0:
        raise MeasurementError(finished.output[-2000:] or "stopped: it ignored its budget")
    return finished
