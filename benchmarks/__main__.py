"""python -m benchmarks: measure, print tables, and on request write JSON, add to the history, draw the picture."""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import comparison, history, ours, sections
from benchmarks.grading import grading
from benchmarks.growth import growth
from benchmarks.ours import Size
from benchmarks.parallel import parallel
from benchmarks.process import STEADY, run
from benchmarks.traces import left_on_the_table
from benchmarks.violations import violations

SMALL: list[Size] = [(1, 2), (2, 3)]
ALL: list[Size] = [*SMALL, (3, 4), (2, 5)]


def main() -> int:
    """Run what the command line asks for."""
    wanted = _arguments()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            line_buffering=True
        )  # tables appear as they are ready, in a pipe too
    try:
        if wanted.profile is not None:
            return show_profile(wanted)
        before = (
            history.last()
        )  # read first: nobody wants to hear after eight minutes that it cannot be
        figures = measure(wanted)
        run_now = history.entry(figures)
        history.compared(run_now, before)
        keep(figures, run_now, wanted)
    except KeyboardInterrupt:
        print("\ninterrupted; nothing was written", file=sys.stderr)
        return 130
    except (ours.MeasurementError, history.HistoryError) as problem:
        print(f"a measurement failed:\n{problem}", file=sys.stderr)
        return 1
    return 0


def measure(wanted: argparse.Namespace) -> dict[str, Any]:
    """Everything, in the order in which it is printed."""
    sizes: list[Size] = wanted.sizes or (SMALL if wanted.quick else ALL)
    figures: dict[str, Any] = {"machine": machine(), "limit_seconds": wanted.limit}
    for name, value in figures["machine"].items():
        print(f"{name}: {value}")
    reference = [ours.reference()]
    figures["imports_ms"] = sections.imports()
    figures["scenarios"] = sections.scenarios()
    figures["violations"] = violations(figures["scenarios"], wanted)
    figures["vma_tree"] = sections.vma_tree()
    figures["fork_many"] = sections.scaling(sizes, wanted)
    figures["parallel"] = parallel(figures["fork_many"], wanted)
    reference.append(ours.reference())
    figures["growth"] = growth(wanted)
    figures["traces"] = left_on_the_table(wanted)
    reference.append(ours.reference())
    figures["grading"] = grading(wanted)
    present = [] if wanted.no_peers else comparison.present()
    if present:
        figures["validation"] = comparison.validation(present, wanted.limit)
        figures["peers"] = comparison.peers(figures["fork_many"], present, wanted)
        reference.append(ours.reference())
    figures["reference"] = {"seconds": reference, "median": statistics.median(reference)}
    return figures


def keep(figures: dict[str, Any], run_now: dict[str, Any], wanted: argparse.Namespace) -> None:
    """What the command line asked to be written."""
    if wanted.json is not None:
        wanted.json.write_text(json.dumps(_rounded(figures), indent=1) + "\n", encoding="utf-8")
        print(f"\nwritten to {wanted.json}")
    if wanted.picture is not None:
        from benchmarks.picture import draw

        draw(figures["growth"], figures["machine"], wanted.picture)
        print(f"drawn in {wanted.picture}")
    if wanted.record:
        history.record(_rounded(run_now))
        print(f"recorded in {history.HISTORY}")


def show_profile(wanted: argparse.Namespace) -> int:
    """Only look where the time of one search goes."""
    from benchmarks.profiling import profile

    found = profile(wanted.profile, not wanted.full, wanted.limit)
    if wanted.json is not None:
        wanted.json.write_text(json.dumps(_rounded(found), indent=1) + "\n", encoding="utf-8")
    return 0


def machine() -> dict[str, Any]:
    """What the figures depend on, without names of machines or folders."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.partition(":")[2].strip()
            for line in cpuinfo.read_text("utf-8").splitlines()
            if "model name" in line
        ]
        model = names[0] if names else model
    commit = (
        run(["git", "describe", "--always", "--dirty"], 10.0, ours.ROOT)
        if (ours.ROOT / ".git").exists()
        else None
    )
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": model,
        "cores": os.cpu_count(),
        "load when started": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": platform.system(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "commit": commit.output.strip() if commit and commit.status == 0 else None,
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="only small sizes, each measured once: under a minute on an idle machine",
    )
    parser.add_argument(
        "--sizes", type=_size, nargs="+", metavar="V,N", help="other sizes, e.g. --sizes 2,3 3,4"
    )
    parser.add_argument(
        "--limit", type=float, default=120.0, help="seconds for each run (default %(default)g)"
    )
    parser.add_argument(
        "--full-limit",
        type=float,
        default=20.0,
        help="seconds for a search without reduction (default %(default)g)",
    )
    parser.add_argument(
        "--growth-limit",
        type=float,
        default=20.0,
        help="seconds for each search of how cost grows (default %(default)g)",
    )
    parser.add_argument(
        "--traces-limit",
        type=float,
        default=5.0,
        help="seconds for each count of executions (default %(default)g)",
    )
    parser.add_argument(
        "--patience", type=float, help="seconds that a peer has at least (default 20; quick: 5)"
    )
    parser.add_argument(
        "--times",
        type=float,
        help="a peer has so many times as long as mmlocks took, but no more than --limit (default 50; quick: 20)",
    )
    parser.add_argument(
        "--full-states",
        type=int,
        default=3_000_000,
        help="states for a search without reduction (memory)",
    )
    parser.add_argument(
        "--repeats",
        type=int,
        help=f"runs of what takes less than {STEADY:g} s; the median counts (default 3; quick: 1)",
    )
    parser.add_argument("--no-peers", action="store_true", help="mmlocks alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument(
        "--picture", type=Path, metavar="FILE", help="draw how cost grows there (.svg or .png)"
    )
    parser.add_argument(
        "--record",
        action="store_true",
        help=f"add the key figures to {history.HISTORY.name}, the table of all runs",
    )
    parser.add_argument(
        "--profile", type=_size, metavar="V,N", help="only show where the time of that search goes"
    )
    parser.add_argument(
        "--full", action="store_true", help="with --profile: the search without reduction"
    )
    wanted = parser.parse_args()
    wanted.repeats = wanted.repeats or (1 if wanted.quick else 3)
    wanted.patience = wanted.patience or (5.0 if wanted.quick else 20.0)
    wanted.times = wanted.times or (20.0 if wanted.quick else 50.0)
    return wanted


def _size(text: str) -> Size:
    vmas, _, writers = text.partition(",")
    if not (vmas.isdigit() and writers.isdigit() and int(vmas) and int(writers)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; write V,N such as 2,3")
    return int(vmas), int(writers)


def _rounded(value: Any) -> Any:
    """Figures with as many digits as they deserve."""
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return (
        round(value, 4)
        if isinstance(value, float) and value < 1000
        else round(value)
        if isinstance(value, float)
        else value
    )


if __name__ == "__main__":
    sys.exit(main())
