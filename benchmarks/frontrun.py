"""frontrun: it runs a Python program again and again, and its DPOR (in Rust) chooses the orders."""

from __future__ import annotations

import importlib.util
import json
import sys
from typing import Any

from benchmarks.peer import MODELS, Question, last_words
from benchmarks.process import run

PROGRAM = MODELS / "fork_many_frontrun.py"


class Frontrun:
    """frontrun on the same micro-steps, exhaustively: no bound on preemptions.

    Its Rust engine driven directly, which is fastest; or, with `explore`, through the function that its manual describes. The program's
    own docstring says what else was done in its favour.
    """

    def __init__(self, explore: bool = False) -> None:
        self.name = "frontrun explore" if explore else "frontrun engine"
        self.driver = "explore" if explore else "engine"
        how = (
            "frontrun.explore(preemption_bound=None, detect_io=False), async workers"
            if explore
            else "its Rust engine driven directly, accesses reported to it; depth first (conflict-first where there is a bug to find)"
        )
        self.settings = f"{how}; one core"

    def missing(self) -> str | None:
        """What to do to have it."""
        if importlib.util.find_spec("frontrun") is None:
            return "not installed: make bench installs it where there is a wheel, or pip install 'frontrun>=0.7,<0.8'"
        return None

    def ask(self, question: Question, limit: float) -> dict[str, Any]:
        """Start the program, which stops itself at the limit."""
        size = [question.vmas, question.writers, int(question.fixed)]
        options = ["--driver", self.driver, "--seconds", str(limit)]
        finished = run([sys.executable, PROGRAM, *map(str, size), *options], limit + 10.0)
        if finished.timed_out:
            return {"outcome": "unproved", "wall": None}
        answer = _read(finished.output, finished.status)
        done = answer["outcome"] in ("safe", "violated")
        return {"wall": finished.seconds if done else None, "peak_mb": finished.peak_mb, **answer}


def _read(output: str, status: int = 0) -> dict[str, Any]:
    """The program's one line of JSON; around it there may be warnings of Python's."""
    for line in reversed(output.splitlines()):
        if line.startswith("{"):
            try:
                answer = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(answer, dict) and "outcome" in answer:
                return answer
    return {"outcome": "failed", "said": last_words(output, status)}
