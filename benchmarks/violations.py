"""The bug on the buggy kernel: how long until something is found, and until its shortest schedule is known.

Asked of every scenario on each release on which it is violated, in two ways: inside a process that has everything imported, on a fresh
machine; and as a whole process, from the interpreter's start to the answer, which is what somebody at a prompt waits for.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

from benchmarks import ours
from benchmarks.answers import first, shown
from benchmarks.tables import table, whole
from mmlocks.scenarios import SCENARIOS

FIRST_AIM, SHOWN_AIM = 0.2, 1.0
"""Seconds, of a whole process: until the first violation, and until the minimal counterexample."""
TIMES = 3


def measured(places: list[tuple[str, str]], times: int) -> list[dict[str, Any]]:
    """Scenarios, each on a release on which it is violated; of each time the median."""
    rows = []
    for name, release in places:
        scenario = SCENARIOS[name]
        found = [first(scenario, release) for _ in range(times)]
        told = [shown(scenario, release) for _ in range(times)]
        rows.append(
            {
                "scenario": name,
                "release": release,
                "violation": told[0]["violation"],
                "steps": told[0]["steps"],
                "preemptions": told[0]["preemptions"],
                "minimal": told[0]["minimal"],
                "first_seconds": statistics.median(row["seconds"] for row in found),
                "shown_seconds": statistics.median(row["seconds"] for row in told),
            }
        )
    return rows


def violations(searched: list[dict[str, Any]], wanted: argparse.Namespace) -> dict[str, Any]:
    """Of all scenarios `searched` those that are violated: in one process, and each as a whole process (quick: the slowest alone)."""
    places = [(row["scenario"], row["release"]) for row in searched if row["outcome"] == "violated"]
    rows = ours.violations(places, wanted.repeats)
    slowest = max(rows, key=lambda row: row["shown_seconds"])
    for row in rows:
        if wanted.quick and row is not slowest:
            continue
        for way in ("first", "shown"):
            row[f"{way}_wall"] = _wall(row, way, FIRST_AIM if way == "first" else SHOWN_AIM)
    print(
        "\nThe bug on the buggy kernel: seconds to the first violation and to the minimal counterexample"
        "\n(in a process that runs already, and wall for a whole one)"
    )
    print(
        table(
            [
                "scenario",
                "release",
                "violation",
                "steps",
                "preemptions",
                "first",
                "wall",
                "minimal",
                "wall",
            ],
            [
                (
                    row["scenario"],
                    row["release"],
                    row["violation"],
                    whole(row["steps"]) + ("" if row["minimal"] else " *"),
                    whole(row["preemptions"]),
                    f"{row['first_seconds']:.3f}",
                    _two_digits(row.get("first_wall")),
                    f"{row['shown_seconds']:.3f}",
                    _two_digits(row.get("shown_wall")),
                )
                for row in rows
            ],
        )
    )
    if not all(row["minimal"] for row in rows):
        print(
            "* found by an oracle that looks at the searched machine, which has no shortest schedule"
        )
    return {"rows": rows, "worst": [_worst(rows, *aim) for aim in AIMS]}


AIMS = (
    ("first_seconds", FIRST_AIM),
    ("first_wall", FIRST_AIM),
    ("shown_seconds", SHOWN_AIM),
    ("shown_wall", SHOWN_AIM),
)


def _worst(rows: list[dict[str, Any]], figure: str, aim: float) -> dict[str, Any]:
    """The slowest row by one figure, and every row that misses the aim."""
    known = [row for row in rows if figure in row]
    slowest = max(known, key=lambda row: row[figure])
    missed = [f"{row['scenario']} on {row['release']}" for row in known if row[figure] > aim]
    print(
        f"worst {figure.replace('_', ' ')}: {slowest[figure]:.3f} ({slowest['scenario']} on {slowest['release']}); aim {aim:g}: "
        + (f"missed by {len(missed)} of {len(known)}" if missed else f"met by all {len(known)}")
    )
    return {
        "figure": figure,
        "aim": aim,
        "worst": slowest[figure],
        "scenario": slowest["scenario"],
        "release": slowest["release"],
        "measured": len(known),
        "missed": missed,
    }


def _wall(row: dict[str, Any], way: str, aim: float) -> float:
    """Wall seconds of a whole process. What misses the aim is measured three times, and the median counts."""
    runs = [ours.violation(row["scenario"], row["release"], way)]
    while runs[0] > aim and len(runs) < TIMES:
        runs.append(ours.violation(row["scenario"], row["release"], way))
    return statistics.median(runs)


def _two_digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
