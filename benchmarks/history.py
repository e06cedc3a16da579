"""What was measured before: benchmarks/history.jsonl, one line for each recorded run, and this run beside the last of them.

Machines differ, and the same machine is slower on a busy day. So every run also times a fixed piece of plain Python, several times on its way,
and durations are compared in that unit, the reference. Compare references, or ratios to other tools in the same run; never seconds of two runs.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.tables import table, whole

HISTORY = Path(__file__).with_name("history.jsonl")


class HistoryError(Exception):
    """The history cannot be read or added to; the text says what to do."""


def reference() -> float:
    """Seconds for a fixed piece of work of the kind that a search does: integers looked up in a dict and added to it."""
    started = time.perf_counter()
    seen, work = {1: 0}, [1]
    while len(seen) < 600_000:
        state = work.pop()
        seen[state] |= 1
        for step in (3, 5, 7):
            after = (state * step + (state >> 7)) & (1 << 60) - 1
            if after not in seen:
                seen[after] = 0
                work.append(after)
    return time.perf_counter() - started


def entry(figures: dict[str, Any]) -> dict[str, Any]:
    """The key figures of a run, small enough for a line."""
    unit = figures["reference"]["median"]
    sizes: dict[str, Any] = {}
    for row in figures["fork_many"]:
        best = row["reduced"]
        sizes[f"{row['vmas']},{row['writers']}"] = {
            "wall": best["wall"],
            "wall_in_references": None if best["wall"] is None else best["wall"] / unit,
            "states": best["states"],
            "transitions": best["transitions"],
            "mb": best["peak_mb_above_imports"],
            "bytes_per_state_beyond_packed": best["bytes_per_state_beyond_packed"],
            "full_states": row["full"]["states"] if row["full"]["wall"] is not None else None,
            "times_mmlocks": {},
        }
    for row in figures.get("peers", []):
        if row["tool"] != "mmlocks":
            at = sizes[f"{row['vmas']},{row['writers']}"]
            at["times_mmlocks"][row["tool"]] = row["times_mmlocks"]
    worst = {row["figure"]: row["worst"] for row in figures.get("violations", {}).get("worst", [])}
    return {
        "machine": figures["machine"],
        "reference_seconds": unit,
        "sizes": sizes,
        "violations": worst,
    }


def last(path: Path = HISTORY) -> dict[str, Any] | None:
    """The newest recorded run; None if there is none.

    Raises HistoryError for a file that is not what `record` writes.
    """
    lines = _lines(path)
    return lines[-1] if lines else None


def record(run: dict[str, Any], path: Path = HISTORY) -> None:
    """Append a run. Whatever happens meanwhile, the file holds all lines from before, and this one whole or not at all.

    Raises HistoryError for a file that is not what it should be, or cannot be written.
    """
    _lines(path)
    line = json.dumps(run, allow_nan=False) + "\n"
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    if before and not before.endswith("\n"):
        before += "\n"
    # Written beside it and put in its place at once: a reader, or a crash, finds the old file or the new one.
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=path.name, delete=False
        ) as whole_file:
            try:
                whole_file.write(before + line)
                whole_file.flush()
                os.fsync(whole_file.fileno())
                Path(whole_file.name).chmod(0o644)
                Path(whole_file.name).replace(path)
            except BaseException:
                Path(whole_file.name).unlink(missing_ok=True)
                raise
    except OSError as problem:
        raise HistoryError(f"{path} cannot be written: {problem.strerror or problem}") from problem


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    runs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            run = json.loads(line)
            run["sizes"], run["machine"]["date"], run["reference_seconds"]
        except (ValueError, TypeError, KeyError) as problem:
            raise HistoryError(
                f"{path}, line {number}, is not a recorded run; mend it or take it out"
            ) from problem
        runs.append(run)
    return runs


def compared(now: dict[str, Any], then: dict[str, Any] | None) -> None:
    """Print this run beside an earlier one."""
    if then is None:
        print("\nNo recorded run to compare with: --record keeps this one")
        return
    machine = then["machine"]
    print(
        f"\nBeside the last recorded run ({machine['date']}, {machine['commit']}, {machine['cpu']}): wall in units of the reference loop"
        f"\n(now {now['reference_seconds']:.3f} s, then {then['reference_seconds']:.3f} s); below 1.00 is faster than then"
    )
    rows = []
    for size, figures in now["sizes"].items():
        old = then["sizes"].get(size)
        if old is not None:
            rows.append(
                (
                    size,
                    _units(figures["wall_in_references"]),
                    _units(old["wall_in_references"]),
                    _quotient(figures["wall_in_references"], old["wall_in_references"]),
                    whole(figures["states"]),
                    whole(old["states"]),
                    _quotient(figures["mb"], old["mb"]),
                )
            )
    print(table(["V,N", "now", "then", "now/then", "states now", "then", "MB now/then"], rows))


def _units(value: float | None) -> str:
    return "not finished" if value is None else f"{value:.2f}"


def _quotient(now: float | None, then: float | None) -> str:
    return "-" if now is None or not then else f"{now / then:.2f}"
