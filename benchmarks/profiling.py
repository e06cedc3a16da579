"""Where the time of a search goes: profile before you optimise.

python -m benchmarks --profile V,N

Two looks, since a profiler makes calls dear and loops cheap. First a run without it, with what the search itself can count; then one under
cProfile, by function and by part of the program.
"""

from __future__ import annotations

import cProfile
import pstats
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.ours import ROOT, Size
from benchmarks.tables import table, whole
from mmlocks.machine import Machine
from mmlocks.scenarios import machine_for
from mmlocks.scenarios.checking import as_kernel
from mmlocks.scenarios.fork_many import fork_many
from mmlocks.search import Budget, Exhaustive, Exploration
from mmlocks.search.verdict import Meter

RELEASE = "6.4.3"
SHOWN = 18


def profile(size: Size, reduced: bool, seconds: float) -> dict[str, Any]:
    """Search one size of fork_many twice, and print what took the time."""
    counted = _counters(size, reduced, seconds)
    print(
        f"\nfork_many({size[0]}, {size[1]}) on {RELEASE}, {'reduced' if reduced else 'every order'}: without a profiler"
    )
    print(table(["what", "figure"], [(name, _figure(value)) for name, value in counted.items()]))
    functions, parts, total = _profiled(size, reduced, seconds)
    print(f"\nUnder cProfile: {total:.2f} s, {total / counted['seconds']:.1f} times as long")
    rows = [(part, f"{own:.2f}", f"{100 * own / total:.0f} %") for part, own in parts.most_common()]
    print(table(["part", "own seconds", "share"], rows))
    print()
    headings = ["function", "calls", "own seconds", "share", "with what it calls"]
    print(
        table(
            headings,
            [
                (name, whole(calls), f"{own:.2f}", f"{100 * own / total:.0f} %", f"{inside:.2f}")
                for name, calls, own, inside in functions[:SHOWN]
            ],
        )
    )
    named = [
        dict(zip(("function", "calls", "own", "inside"), row, strict=True))
        for row in functions[:SHOWN]
    ]
    return {
        "counters": counted,
        "functions": named,
        "parts": dict(parts),
        "profiled_seconds": total,
    }


def _search(size: Size, reduced: bool, seconds: float) -> tuple[Machine, Exploration]:
    machine, _ = machine_for(fork_many(*size), as_kernel(RELEASE))
    return machine, Exhaustive(reduced).explore(machine, Meter(Budget(100_000_000, seconds)))


def _counters(size: Size, reduced: bool, seconds: float) -> dict[str, Any]:
    started = time.perf_counter()
    machine, found = _search(size, reduced, seconds)
    spent = time.perf_counter() - started
    nodes = [node for task in machine.tasks for node in task.nodes]
    computed = sum(len(node.outcomes) for node in nodes)
    return {
        "seconds": spent,
        "states": found.states,
        "transitions": found.transitions,
        "transitions per second": found.transitions / spent,
        "nodes of the automata": len(nodes),
        "outcomes computed (Python code of the kernel runs)": computed,
        "transitions for each computed outcome": found.transitions / max(computed, 1),
        "endings": len(found.endings),
    }


def _profiled(
    size: Size, reduced: bool, seconds: float
) -> tuple[list[tuple[str, int, float, float]], Counter[str], float]:
    profiler = cProfile.Profile()
    profiler.runcall(_search, size, reduced, seconds)
    stats: Any = pstats.Stats(profiler)
    functions, parts = [], Counter[str]()
    for (file, line, name), (_, calls, own, inside, _) in stats.stats.items():
        part, place = _place(file)
        parts[part] += own
        functions.append(
            (f"{name} ({place}:{line})" if place else name.strip("<>"), calls, own, inside)
        )
    functions.sort(key=lambda row: row[2], reverse=True)
    return functions, parts, stats.total_tt


def _place(file: str) -> tuple[str, str]:
    """The part of the program that a file belongs to, and its short name."""
    path = Path(file)
    if file == "~":
        return "built into Python", ""
    try:
        inside = path.relative_to(ROOT)
    except ValueError:
        return "standard library", path.name
    return (inside.parts[1] if inside.parts[0] == "mmlocks" else inside.parts[0]), inside.as_posix()


def _figure(value: float) -> str:
    return whole(value) if isinstance(value, int) or value >= 100 else f"{value:.2f}"
