"""What is measured in a process of its own, so that nothing is left over from an earlier search. Prints one line of JSON.

python -m benchmarks.child fork V N [--release R] [--full] [--seconds S] [--states S]
python -m benchmarks.child grown AXIS SIZE [the same]
python -m benchmarks.child scenarios
python -m benchmarks.child violations SCENARIO:RELEASE... [--times N]
python -m benchmarks.child violation SCENARIO RELEASE [--first]
python -m benchmarks.child traces PROGRAM [--seconds S]
python -m benchmarks.child parallel V N WORKERS [--full] [--seconds S]
python -m benchmarks.child tree
python -m benchmarks.child reference
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmlocks.releases import RELEASES
from mmlocks.scenarios import SCENARIOS, Scenario, check
from mmlocks.scenarios.fork_many import fork_many
from mmlocks.search import Budget, Exhaustive, Exploration

STATUS = Path("/proc/self/status")


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="benchmarks.child")
    kinds = parser.add_subparsers(dest="kind", required=True)
    fork = kinds.add_parser("fork")
    fork.add_argument("vmas", type=int)
    fork.add_argument("writers", type=int)
    grown = kinds.add_parser("grown")
    grown.add_argument("axis")
    grown.add_argument("size", type=int)
    for search in (fork, grown):
        search.add_argument("--release", default="6.4.3")
        search.add_argument("--full", action="store_true")
        search.add_argument("--seconds", type=float, default=120.0)
        search.add_argument("--states", type=int, default=100_000_000)
    kinds.add_parser("scenarios")
    violations = kinds.add_parser("violations")
    violations.add_argument("places", nargs="+", metavar="SCENARIO:RELEASE")
    violations.add_argument("--times", type=int, default=3)
    violation = kinds.add_parser("violation")
    violation.add_argument("scenario")
    violation.add_argument("release")
    violation.add_argument("--first", action="store_true")
    parallel = kinds.add_parser("parallel")
    parallel.add_argument("vmas", type=int)
    parallel.add_argument("writers", type=int)
    parallel.add_argument("workers", type=int)
    parallel.add_argument("--full", action="store_true")
    parallel.add_argument("--seconds", type=float, default=120.0)
    kinds.add_parser("tree")
    kinds.add_parser("reference")
    traces = kinds.add_parser("traces")
    traces.add_argument("program")
    traces.add_argument("--seconds", type=float, default=20.0)
    wanted = parser.parse_args()
    print(json.dumps(KINDS[wanted.kind](wanted)))


def _fork(wanted: argparse.Namespace) -> dict[str, Any]:
    return _searched(fork_many(wanted.vmas, wanted.writers), wanted)[0]


def _grown(wanted: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.grown import AXES, in_order

    figures, machine = _searched(AXES[wanted.axis].grown(wanted.size), wanted)
    return {**figures, "steps": in_order(machine)}


@dataclass
class _Kept:
    """An exhaustive search whose states can be weighed when the verdict is known."""

    reduced: bool
    found: list[Exploration] = field(default_factory=list)

    def explore(self, machine: Any, meter: Any, stop: bool = True) -> Exploration:
        """See `Strategy`."""
        self.found.append(Exhaustive(self.reduced).explore(machine, meter, stop))
        return self.found[-1]


def _searched(scenario: Scenario, wanted: argparse.Namespace) -> tuple[dict[str, Any], Any]:
    before = _megabytes("VmRSS")
    started = time.perf_counter()
    kept = _Kept(not wanted.full)
    checked = check(scenario, wanted.release, Budget(wanted.states, wanted.seconds), strategy=kept)
    seconds = time.perf_counter() - started
    peak = _megabytes("VmHWM")
    verdict = checked.verdict
    above = None if peak is None or before is None else peak - before
    # A state's packed form is its number; the rest is what a search must keep of it and for it.
    packed = sum(map(sys.getsizeof, kept.found[0].seen))
    figures = {
        "outcome": verdict.outcome,
        "violation": verdict.violation.oracle if verdict.violation else None,
        "reason": verdict.reason,
        "states": verdict.states,
        "transitions": verdict.transitions,
        "seconds": seconds,
        "states_per_second": verdict.states / seconds,
        "nodes": sum(len(task.nodes) for task in checked.machine.tasks),
        "peak_mb": peak,
        "peak_mb_above_imports": above,
        "packed_bytes_per_state": packed / max(verdict.states, 1),
        "bytes_per_state_beyond_packed": (
            None if above is None or not verdict.states else (above * 2**20 - packed) / verdict.states
        ),
    }
    return figures, checked.machine


def _scenarios(_: argparse.Namespace) -> list[dict[str, Any]]:
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


def _violations(wanted: argparse.Namespace) -> list[dict[str, Any]]:
    from benchmarks.violations import measured

    places = [(scenario, release) for scenario, _, release in (at.partition(":") for at in wanted.places)]
    return measured(places, wanted.times)


def _violation(wanted: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.violations import first, shown

    scenario = SCENARIOS[wanted.scenario]
    return first(scenario, wanted.release) if wanted.first else shown(scenario, wanted.release)


def _tree(_: argparse.Namespace) -> list[dict[str, Any]]:
    from benchmarks.tree import tree

    return tree()


def _reference(_: argparse.Namespace) -> float:
    from benchmarks.history import reference

    return statistics.median(reference() for _ in range(3))


def _traces(wanted: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.traces import counted

    return counted(wanted.program, wanted.seconds)


def _parallel(wanted: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.parallel import searched

    return searched((wanted.vmas, wanted.writers), not wanted.full, wanted.workers, wanted.seconds)


KINDS = {
    "fork": _fork,
    "grown": _grown,
    "scenarios": _scenarios,
    "violations": _violations,
    "violation": _violation,
    "traces": _traces,
    "parallel": _parallel,
    "tree": _tree,
    "reference": _reference,
}


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
