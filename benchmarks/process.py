"""Running a command to its end, to a time limit, or to Ctrl-C: in each case nothing of it is left running."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

STEADY = 3.0
"""Seconds from which a single run is steady enough to be reported."""

Measured = dict[str, Any]
"""Figures by name; `wall` among them, None if the run was stopped."""


class Finished(NamedTuple):
    """A command's wall time and what it printed; `timed_out` if it was stopped at its limit.

    `peak_mb` is the most memory that it, or any process that it started and waited for, had resident at once. It is never less than what this
    process has itself (the system counts from before the command takes its place), so it tells nothing of small commands.
    """

    seconds: float
    output: str
    status: int
    timed_out: bool
    peak_mb: float = 0.0


def run(command: Sequence[str | Path], limit: float, cwd: Path | None = None) -> Finished:
    """Run a command for at most `limit` seconds. Standard error is part of the output."""
    started = time.perf_counter()
    stopped = threading.Event()
    # A session of its own: gcc and harmony start processes that must be stopped together with them.
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=cwd,
        # Where it is set, every process would compile every module anew; nobody's own computer has it set.
        env={
            name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None

    def stop() -> None:
        stopped.set()
        os.killpg(process.pid, signal.SIGKILL)

    alarm = threading.Timer(max(limit, 0.0), stop)
    alarm.start()
    try:
        output = process.stdout.read()  # until the last of them has closed it
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    finally:
        # Not a moment later: once the command has been waited for, its number may be somebody else's.
        alarm.cancel()
        alarm.join()
        process.stdout.close()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    text = output.decode(errors="replace")
    return Finished(seconds, text, process.returncode, stopped.is_set(), used.ru_maxrss / 1024)


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
