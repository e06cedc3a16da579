"""Harmony: one command compiles to bytecode and searches with all cores."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.peer import MODELS, Question, last_words, number, program
from benchmarks.process import run

MODEL = MODELS / "fork_many.hny"
OPTIONS = ("--noweb", "--quick", "-W", "-R")
"""No browser, no HTML report, and neither busy-waiting nor data-race analysis, for which we have no counterpart.

Deadlock (non-terminating states), assertions and `finally` are still checked.
"""


class Harmony:
    """Harmony, with its default number of workers; `fold` removes by hand the steps that read only what never changes."""

    def __init__(self, fold: bool = False) -> None:
        self.name = "Harmony" + (" folded" if fold else "")
        self.fold = fold
        self.settings = (
            f"harmony {' '.join(OPTIONS)}{' -c FOLD=True' if fold else ''}; a worker on every core"
        )

    def missing(self) -> str | None:
        """What to do to have it."""
        return (
            None
            if program("harmony")
            else "not installed: make bench installs it, or pip install harmony"
        )

    def ask(self, question: Question, limit: float) -> dict[str, Any]:
        """Compile and run."""
        constants = {
            "V": question.vmas,
            "N": question.writers,
            "FIX": question.fixed,
            "FOLD": self.fold,
        }
        defined = [part for name, value in constants.items() for part in ("-c", f"{name}={value}")]
        with tempfile.TemporaryDirectory(prefix="mmlocks-bench-") as folder:
            shutil.copy(MODEL, folder)  # it writes its results beside the model
            finished = run(
                [program("harmony") or "harmony", *OPTIONS, *defined, MODEL.name],
                limit,
                Path(folder),
            )
        if finished.timed_out:
            return {"outcome": "unproved", "wall": None}
        return {
            "wall": finished.seconds,
            "peak_mb": finished.peak_mb,
            **_read(finished.output, finished.status),
        }


def _read(output: str, status: int = 0) -> dict[str, Any]:
    states = re.search(r"\* (\d+) states \(time ([\d.]+)s", output)
    edges = re.search(r"(\d+)/(\d+) computations/edges", output)
    verdict = re.search(r"\* \*\*(.*)\*\*", output)
    if not (states and edges and verdict):
        return {"outcome": "failed", "said": last_words(output, status)}
    safe = verdict[1] == "No issues found"
    return {
        "outcome": "safe" if safe else "violated",
        "violation": None if safe else verdict[1],
        "states": number(states[1]),
        "transitions": number(edges[2]),
        "search_seconds": float(states[2]),
    }
