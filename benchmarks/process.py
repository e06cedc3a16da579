"""Running a command to its end, to a time limit, or to Ctrl-C: in each case nothing of it is left running."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

STEADY = 3.0
"""Seconds from which a single run is steady enough to be reported."""

Measured = dict[str, Any]
"""Figures by name; `wall` among them, None if the run was stopped."""


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


def repeat(
    times: int, runs: dict[str, list[Measured]], measures: Mapping[str, Callable[[], Measured]]
) -> dict[str, Measured]:
    """Of each measurement that was made once and is short, so many in all, taking turns; then each one's median by `wall`.

    Taking turns matters on a machine that others use too: what disturbs one disturbs all.
    """
    for _ in range(times - 1):
        for name, done in runs.items():
            if done[0]["wall"] is not None and done[0]["wall"] < STEADY:
                done.append(measures[name]())
    return {
        name: sorted(done, key=lambda run: run["wall"] or STEADY)[len(done) // 2]
        for name, done in runs.items()
    }
