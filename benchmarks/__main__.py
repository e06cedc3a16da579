"""python -m benchmarks: measure, print tables, and on request write JSON."""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import ours, sections
from benchmarks.process import STEADY, run
from benchmarks.sections import Size

SMALL: list[Size] = [(1, 2), (2, 3)]
ALL: list[Size] = [*SMALL, (3, 4), (2, 5)]


def main() -> int:
    """Run what the command line asks for."""
    wanted = _arguments()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # tables appear as they are ready, in a pipe too
    try:
        figures = measure(wanted)
    except KeyboardInterrupt:
        print("\ninterrupted; nothing was written", file=sys.stderr)
        return 130
    except ours.MeasurementError as problem:
        print(f"a measurement failed:\n{problem}", file=sys.stderr)
        return 1
    if wanted.json is not None:
        wanted.json.write_text(json.dumps(_rounded(figures), indent=1) + "\n", encoding="utf-8")
        print(f"\nwritten to {wanted.json}")
    return 0


def measure(wanted: argparse.Namespace) -> dict[str, Any]:
    """Everything, in the order in which it is printed."""
    sizes: list[Size] = wanted.sizes or (SMALL if wanted.quick else ALL)
    figures: dict[str, Any] = {"machine": machine(), "limit_seconds": wanted.limit}
    for name, value in figures["machine"].items():
        print(f"{name}: {value}")
    figures["imports_ms"] = sections.imports()
    figures["scenarios"] = sections.scenarios()
    figures["vma_tree"] = sections.vma_tree()
    figures["fork_many"] = sections.scaling(sizes, wanted)
    present = [] if wanted.no_peers else sections.present()
    if present:
        figures["validation"] = sections.validation(present, wanted.limit)
        figures["peers"] = sections.peers(sizes, figures["fork_many"], present, wanted)
    return figures


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
    parser.add_argument("--quick", action="store_true", help="only the sizes 1,2 and 2,3")
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
        "--full-states", type=int, default=3_000_000, help="states for a search without reduction (memory)"
    )
    parser.add_argument(
        "--repeats", type=int, default=3, help=f"runs of what takes less than {STEADY:g} s; the median counts"
    )
    parser.add_argument("--no-peers", action="store_true", help="mmlocks alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser.parse_args()


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
