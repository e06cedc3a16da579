"""What is measured in a process of its own, so that nothing is left over from an earlier search. Prints one line of JSON.

It is asked in JSON, too, e.g. `python -m benchmarks.child '{"kind": "fork", "vmas": 2, "writers": 3}'`. It imports no more than it needs: what a whole
process takes is measured from outside, and should be the search's and not the benchmark's.
"""

from __future__ import annotations

import json
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
SEARCHES = 100_000_000
"""States; seconds are the limit."""


def main() -> None:
    """Measure what the command line asks for."""
    wanted = json.loads(sys.argv[1])
    print(json.dumps(KINDS[wanted.pop("kind")](**wanted)))


def _fork(vmas: int, writers: int, **how: Any) -> dict[str, Any]:
    return _searched(fork_many(vmas, writers), **how)[0]


def _grown(axis: str, size: int, **how: Any) -> dict[str, Any]:
    from benchmarks.grown import AXES, in_order

    figures, machine = _searched(AXES[axis].grown(size), **how)
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


def _searched(
    scenario: Scenario,
    release: str = "6.4.3",
    full: bool = False,
    seconds: float = 120.0,
    states: int = SEARCHES,
) -> tuple[dict[str, Any], Any]:
    before = _megabytes("VmRSS")
    started = time.perf_counter()
    kept = _Kept(not full)
    checked = check(scenario, release, Budget(states, seconds), strategy=kept)
    took = time.perf_counter() - started
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
        "seconds": took,
        "states_per_second": verdict.states / took,
        "nodes": sum(len(task.nodes) for task in checked.machine.tasks),
        "peak_mb": peak,
        "peak_mb_above_imports": above,
        "packed_bytes_per_state": packed / max(verdict.states, 1),
        "bytes_per_state_beyond_packed": (
            None
            if above is None or not verdict.states
            else (above * 2**20 - packed) / verdict.states
        ),
    }
    return figures, checked.machine


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


def _violations(places: list[tuple[str, str]], times: int) -> list[dict[str, Any]]:
    from benchmarks.violations import measured

    return measured(places, times)


def _violation(scenario: str, release: str, way: str) -> dict[str, Any]:
    from benchmarks.answers import WAYS

    return WAYS[way](SCENARIOS[scenario], release)


def _tree() -> list[dict[str, Any]]:
    from benchmarks.tree import tree

    return tree()


def _reference() -> float:
    import statistics

    from benchmarks.history import reference

    return statistics.median(reference() for _ in range(3))


def _traces(program: str, seconds: float) -> dict[str, Any]:
    from benchmarks.traces import counted

    return counted(program, seconds)


def _parallel(**how: Any) -> dict[str, Any]:
    from benchmarks.parallel import searched

    return searched(**how)


def _matrix(workers: int) -> dict[str, Any]:
    from benchmarks.parallel import matrix

    return matrix(workers)


KINDS = {
    "fork": _fork,
    "grown": _grown,
    "scenarios": _scenarios,
    "violations": _violations,
    "violation": _violation,
    "traces": _traces,
    "parallel": _parallel,
    "matrix": _matrix,
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
