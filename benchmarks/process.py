"""Running a command to its end, to a time limit, or to Ctrl-C: in each case nothing of it is left running."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

STEADY = 3.0
"""Seconds from which a single run is steady enough to be reported."""


class Finished(NamedTuple):
    """A command's wall time and what it printed; `timed_out` if it was stopped at its limit."""

    seconds: float
    output: str
    status: int
    timed_out: bool


def run(command: Sequence[str | Path], limit: float, cwd: Path | None = None) -> Finished:
    """Run a command for at most `limit` seconds. Standard error is part of the output."""
    started = time.perf_counter()
    # A session of its own: gcc and harmony start processes that must be stopped together with them.
    with subprocess.Popen(
        [str(part) for part in command],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            return Finished(time.perf_counter() - started, output, process.returncode, True)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return Finished(time.perf_counter() - started, output, process.returncode, False)


def middle(times: int, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The measurement with the median `wall` of so many; of one alone if that is long enough to be steady, or failed."""
    runs = [measure()]
    if runs[0]["wall"] is not None and runs[0]["wall"] < STEADY:
        runs += [measure() for _ in range(times - 1)]
    return sorted(runs, key=lambda run: run["wall"] or STEADY)[len(runs) // 2]
