"""One search by several processes: how much faster are two than one?

Three searches of the same program, each in a process of its own: the exhaustive search as it is, the parallel one with one worker (what taking it
apart costs), and with two. The aim is that two workers are at least 1.6 times as fast as the exhaustive search.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

from benchmarks import ours
from benchmarks.ours import Size
from benchmarks.tables import table, whole
from mmlocks.machine import Machine
from mmlocks.scenarios import machine_for
from mmlocks.scenarios.fork_many import fork_many
from mmlocks.scenarios.scenario import as_kernel
from mmlocks.search import Budget, Exhaustive, Strategy
from mmlocks.search.parallel import Parallel
from mmlocks.search.verdict import Meter

RELEASE = "6.4.3"
AIM = 1.6
LONG = 1.0
"""Seconds: a search that one process does in less is not worth a second one."""


def build(vmas: int, writers: int) -> Machine:
    """The program, made anew in a worker."""
    return machine_for(fork_many(vmas, writers), as_kernel(RELEASE))[0]


def searched(size: Size, reduced: bool, workers: int, seconds: float) -> dict[str, Any]:
    """One search. No workers: the exhaustive one. The workers' start is part of it."""
    machine = build(*size)
    meter = Meter(Budget(states=100_000_000, seconds=seconds))
    started = time.perf_counter()
    if workers == 0:
        strategy: Strategy = Exhaustive(reduced)
        found = strategy.explore(machine, meter)
    else:
        with ProcessPoolExecutor(workers) as executor:
            strategy = Parallel(executor, partial(build, *size), workers, reduced)
            found = strategy.explore(machine, meter)
    return {
        "outcome": found.outcome,
        "reason": found.reason,
        "states": found.states,
        "transitions": found.transitions,
        "endings": len(found.endings),
        "seconds": time.perf_counter() - started,
    }


def parallel(scaling: list[dict[str, Any]], wanted: argparse.Namespace) -> list[dict[str, Any]]:
    """Every search of fork_many that was finished and took long enough, again by one worker and by two."""
    print(
        f"\nOne search by several processes (seconds of the search; aim: two workers {AIM:g} times as fast)"
    )
    rows: list[dict[str, Any]] = []
    for before in scaling:
        for how in ("reduced", "full"):
            if before[how]["wall"] is None or before[how]["seconds"] < LONG:
                continue
            size = before["vmas"], before["writers"]
            runs = [ours.parallel(size, how == "reduced", workers, wanted.limit) for workers in (0, 1, 2)]
            same = len({(run["outcome"], run["states"], run["endings"]) for run in runs}) == 1
            rows.append(
                {
                    "vmas": size[0],
                    "writers": size[1],
                    "how": how,
                    "exhaustive": runs[0],
                    "workers": {"1": runs[1], "2": runs[2]},
                    "same": same,
                    "times": runs[0]["seconds"] / runs[2]["seconds"],
                }
            )
    if not rows:
        print(f"no search took {LONG:g} s, so there is nothing to share out")
        return rows
    headings = ["V,N", "states", "exhaustive", "1 worker", "2 workers", "times as fast", ""]
    print(
        table(
            headings,
            [
                (
                    f"{row['vmas']},{row['writers']} {row['how']}",
                    whole(row["exhaustive"]["states"]),
                    f"{row['exhaustive']['seconds']:.2f}",
                    f"{row['workers']['1']['seconds']:.2f}",
                    f"{row['workers']['2']['seconds']:.2f}",
                    f"{row['times']:.2f}",
                    "" if row["same"] else "ANOTHER ANSWER",
                )
                for row in rows
            ],
        )
    )
    return rows
