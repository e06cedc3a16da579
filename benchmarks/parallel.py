"""One search by several processes: how much faster are two than one?

Of a program that takes some time two searches, each in a process of its own: the exhaustive one as it is, and the parallel one with two workers,
their start included. And the same work as a matrix, every scenario on every release, one after the other and by two workers. The aim is that two
are at least 1.6 times as fast.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from multiprocessing import get_context
from typing import Any

from benchmarks import ours
from benchmarks.ours import Size
from benchmarks.tables import table, whole
from mmlocks.machine import Machine
from mmlocks.releases import RELEASES
from mmlocks.scenarios import SCENARIOS, machine_for
from mmlocks.scenarios.checking import as_kernel
from mmlocks.scenarios.fork_many import fork_many
from mmlocks.scenarios.table import truth_table
from mmlocks.search import Budget, Exhaustive, Strategy
from mmlocks.search.parallel import Parallel
from mmlocks.search.verdict import Meter

RELEASE = "6.4.3"
AIM = 1.6
LONG = 1.0
"""Seconds: a search that one process does in less is not worth a second one."""
LARGE: Size = (2, 6)
"""Beyond the sizes that peers are asked for: most of a minute, so that what two workers gain can show."""


def build(vmas: int, writers: int) -> Machine:
    """The program, made anew in a worker."""
    return machine_for(fork_many(vmas, writers), as_kernel(RELEASE))[0]


def _helped_by(workers: int) -> AbstractContextManager[Executor | None]:
    """Processes that start at once, and stay until the end; none if there are to be no workers."""
    return ProcessPoolExecutor(workers, get_context("spawn")) if workers else nullcontext()


def searched(size: Size, reduced: bool, workers: int, seconds: float) -> dict[str, Any]:
    """One search. No workers: the exhaustive one. The workers' start is part of it."""
    machine = build(*size)
    meter = Meter(Budget(states=100_000_000, seconds=seconds))
    started = time.perf_counter()
    with _helped_by(workers) as executor:
        strategy: Strategy = (
            Exhaustive(reduced)
            if executor is None
            else Parallel(executor, partial(build, *size), workers, reduced)
        )
        found = strategy.explore(machine, meter)
    return {
        "outcome": found.outcome,
        "reason": found.reason,
        "states": found.states,
        "transitions": found.transitions,
        "endings": len(found.endings),
        "seconds": time.perf_counter() - started,
    }


def matrix(workers: int) -> dict[str, Any]:
    """Every scenario on every release. No workers: one after the other."""
    started = time.perf_counter()
    with _helped_by(workers) as executor:
        found = truth_table(RELEASES, SCENARIOS, executor)
    return {
        "cells": len(found.cells),
        "outcomes": sorted(
            f"{cell.scenario} {cell.release} {cell.outcome}" for cell in found.cells.values()
        ),
        "seconds": time.perf_counter() - started,
    }


def parallel(scaling: list[dict[str, Any]], wanted: argparse.Namespace) -> list[dict[str, Any]]:
    """Every search of fork_many that was finished and took long enough, again by two workers; a larger one; and the matrix."""
    print(
        f"\nTwo processes (seconds of the search, their start included; aim: {AIM:g} times as fast as one)"
    )
    todo = [
        ((row["vmas"], row["writers"]), how)
        for row in scaling
        for how in ("reduced", "full")
        if row[how]["wall"] is not None and row[how]["seconds"] >= LONG
    ]
    rows: list[dict[str, Any]] = []
    for size, how in [*todo, *([] if wanted.quick else [(LARGE, "reduced")])]:
        one, two = (
            ours.parallel(size, how == "reduced", workers, wanted.limit) for workers in (0, 2)
        )
        # With reduction, which states stand for others depends a little on the order in which they are met.
        same = [
            (run["outcome"], run["endings"], how == "reduced" or run["states"])
            for run in (one, two)
        ]
        rows.append(
            {"what": f"{size[0]},{size[1]} {how}", **_compared(one, two, same[0] == same[1])}
        )
    one, two = (ours.matrix(workers) for workers in (0, 2))
    same = one.pop("outcomes") == two.pop("outcomes")
    rows.append({"what": "every scenario on every release", **_compared(one, two, same)})
    print(
        table(
            ["search", "states", "one process", "two workers", "times as fast", ""],
            [
                (
                    row["what"],
                    whole(row["one"].get("states")),
                    f"{row['one']['seconds']:.2f}",
                    f"{row['two']['seconds']:.2f}",
                    f"{row['times']:.2f}",
                    "" if row["same"] else "ANOTHER ANSWER",
                )
                for row in rows
            ],
        )
    )
    return rows


def _compared(one: dict[str, Any], two: dict[str, Any], same: bool) -> dict[str, Any]:
    return {"one": one, "two": two, "same": same, "times": one["seconds"] / two["seconds"]}
