"""mmlocks itself: each search in a fresh process, timed from outside (`wall`) and from inside (`seconds`)."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

from benchmarks.process import Finished, run

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
    command: list[str | float] = ["fork", vmas, writers, "--release", release, "--seconds", limit]
    command += ["--full"] if full else []
    command += ["--states", states] if states is not None else []
    finished, figures = _child([str(part) for part in command], limit + START_UP)
    proved = figures["outcome"] != "unproved"
    return {"vmas": vmas, "writers": writers, **figures, "wall": finished.seconds if proved else None}


def scenarios() -> list[dict[str, Any]]:
    """Every shipped scenario under every release."""
    rows: list[dict[str, Any]] = _child(["scenarios"], 300.0)[1]
    return rows


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
