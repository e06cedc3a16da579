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
    program = {"kind": "fork", "vmas": vmas, "writers": writers}
    return {"vmas": vmas, "writers": writers, **_search(program, limit, release, full, states)}


def grown(
    axis: str, size: int, limit: float, full: bool = False, states: int | None = None
) -> dict[str, Any]:
    """Search one size of a program that grows along an axis; the rest as for `fork`."""
    program = {"kind": "grown", "axis": axis, "size": size}
    return {"axis": axis, "size": size, **_search(program, limit, "6.4.3", full, states)}


def _search(
    program: dict[str, Any], limit: float, release: str, full: bool, states: int | None
) -> dict[str, Any]:
    how = {
        "release": release,
        "seconds": limit,
        "full": full,
        **({} if states is None else {"states": states}),
    }
    finished, figures = _child({**program, **how}, limit + START_UP)
    proved = figures["outcome"] != "unproved"
    return {**figures, "wall": finished.seconds if proved else None}


def scenarios() -> list[dict[str, Any]]:
    """Every shipped scenario under every release."""
    rows: list[dict[str, Any]] = _child({"kind": "scenarios"}, 300.0)[1]
    return rows


def violations(places: list[tuple[str, str]], times: int) -> list[dict[str, Any]]:
    """Scenarios, each on a release on which it is violated, all in one process."""
    rows: list[dict[str, Any]] = _child(
        {"kind": "violations", "places": places, "times": times}, 300.0
    )[1]
    return rows


def violation(scenario: str, release: str, way: str) -> float:
    """Wall seconds of a process that finds one violation: the "first", and then stops, or the one to be "shown"."""
    wanted = {"kind": "violation", "scenario": scenario, "release": release, "way": way}
    return _child(wanted, 300.0)[0].seconds


def traces(program: str, limit: float) -> dict[str, Any]:
    """What benchmarks.traces counts of one program."""
    wanted = {"kind": "traces", "program": program, "seconds": limit}
    figures: dict[str, Any] = _child(wanted, 4 * limit + START_UP)[1]
    return figures


def parallel(size: Size, reduced: bool, workers: int, limit: float) -> dict[str, Any]:
    """One search of fork_many by so many workers; with none, by the exhaustive search itself."""
    wanted = {
        "kind": "parallel",
        "size": size,
        "reduced": reduced,
        "workers": workers,
        "seconds": limit,
    }
    found: dict[str, Any] = _child(wanted, limit + START_UP)[1]
    return found


def matrix(workers: int) -> dict[str, Any]:
    """Every scenario on every release by so many workers; with none, one after the other."""
    found: dict[str, Any] = _child({"kind": "matrix", "workers": workers}, 300.0)[1]
    return found


def vma_tree() -> list[dict[str, Any]]:
    """What operations on the tree of VMAs cost."""
    rows: list[dict[str, Any]] = _child({"kind": "tree"}, 300.0)[1]
    return rows


def reference() -> float:
    """Seconds that the fixed piece of plain Python takes at this moment: the median of three."""
    seconds: float = _child({"kind": "reference"}, 60.0)[1]
    return seconds


def imports(times: int = 7) -> dict[str, Any]:
    """Milliseconds for the imports that users wait for (the interpreter's start not included) and for commands: the median of fresh processes."""
    found: dict[str, Any] = {}
    for module in ("mmlocks", "mmlocks.scenarios"):
        clock = f"import time; t = time.perf_counter(); import {module}; print(1000 * (time.perf_counter() - t))"
        runs = [_checked(run([sys.executable, "-c", clock], 60.0, ROOT)) for _ in range(times + 1)]
        # The first run may have to compile the package; all others find its bytecode.
        found[f"import {module}"] = statistics.median(
            float(finished.output) for finished in runs[1:]
        )
    for command in (["-c", "pass"], ["-m", "mmlocks", "--help"], ["-m", "mmlocks", "demo"]):
        runs = [_checked(run([sys.executable, *command], 60.0, ROOT)) for _ in range(times + 1)]
        found[f"python {' '.join(command)}"] = 1000 * statistics.median(
            run.seconds for run in runs[1:]
        )
    return found


def _child(wanted: dict[str, Any], limit: float) -> tuple[Finished, Any]:
    finished = _checked(
        run([sys.executable, "-m", "benchmarks.child", json.dumps(wanted)], limit, ROOT)
    )
    return finished, json.loads(finished.output)


def _checked(finished: Finished) -> Finished:
    if finished.timed_out or finished.status != 0:
        raise MeasurementError(finished.output[-2000:] or "stopped: it ignored its budget")
    return finished
