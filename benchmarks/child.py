"""What is measured in a process of its own, so that nothing is left over from an earlier search. Prints one line of JSON.

python -m benchmarks.child fork V N [--release R] [--full] [--seconds S] [--states S]
python -m benchmarks.child scenarios
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from mmlocks.releases import RELEASES
from mmlocks.scenarios import SCENARIOS, check
from mmlocks.scenarios.fork_many import fork_many
from mmlocks.search import Budget

STATUS = Path("/proc/self/status")


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="benchmarks.child")
    kinds = parser.add_subparsers(dest="kind", required=True)
    fork = kinds.add_parser("fork")
    fork.add_argument("vmas", type=int)
    fork.add_argument("writers", type=int)
    fork.add_argument("--release", default="6.4.3")
    fork.add_argument("--full", action="store_true")
    fork.add_argument("--seconds", type=float, default=120.0)
    fork.add_argument("--states", type=int, default=100_000_000)
    kinds.add_parser("scenarios")
    wanted = parser.parse_args()
    print(json.dumps(_fork(wanted) if wanted.kind == "fork" else _scenarios()))


def _fork(wanted: argparse.Namespace) -> dict[str, Any]:
    before = _megabytes("VmRSS")
    started = time.perf_counter()
    budget = Budget(states=wanted.states, seconds=wanted.seconds)
    checked = check(fork_many(wanted.vmas, wanted.writers), wanted.release, budget, reduced=not wanted.full)
    seconds = time.perf_counter() - started
    peak = _megabytes("VmHWM")
    verdict = checked.verdict
    return {
        "outcome": verdict.outcome,
        "violation": verdict.violation.oracle if verdict.violation else None,
        "reason": verdict.reason,
        "states": verdict.states,
        "transitions": verdict.transitions,
        "seconds": seconds,
        "states_per_second": verdict.states / seconds,
        "nodes": sum(len(task.nodes) for task in checked.machine.tasks),
        "peak_mb": peak,
        "peak_mb_above_imports": None if peak is None or before is None else peak - before,
    }


def _scenarios() -> list[dict[str, Any]]:
    rows = []
    for scenario in SCENARIOS.values():
        for release in RELEASES:
            started = time.perf_counter()
            verdict = check(scenario, release).verdict
            seconds = time.perf_counter() - started
            expected = scenario.expected.get(release)
            rows.append(
                {
                    "scenario": scenario.name,
                    "release": release,
                    "outcome": verdict.outcome,
                    "as_expected": expected is None or verdict.outcome == expected,
                    "states": verdict.states,
                    "seconds": seconds,
                }
            )
    return rows


def _megabytes(field: str) -> float | None:
    """A figure of /proc/self/status; None where there is no such file.

    Not getrusage: its maximum outlives exec, so a child would begin with its parent's.
    """
    if not STATUS.exists():
        return None
    for line in STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    return None


if __name__ == "__main__":
    main()
