"""SPIN: spin writes a C program, gcc compiles it, and that program searches."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.peer import MODELS, Question, last_words, number, program
from benchmarks.process import run

MODEL = MODELS / "fork_many.pml"


class Spin:
    """SPIN with its default reduction, at one of gcc's levels of optimisation.

    -DSAFETY leaves out what only cycle checks need; it makes everything faster and loses no property of ours. `twin` asks for
    the model that keeps what mmlocks keeps, searched without reduction or merging, so that states can be counted against it.
    """

    def __init__(self, optimise: str = "-O2", twin: bool = False) -> None:
        self.name = f"SPIN {optimise}" + (" twin" if twin else "")
        self.optimise = optimise
        self.twin = twin
        reduction = "-DNOREDUCE" if twin else "default partial-order reduction"
        self.settings = (
            f"spin -a{' -o1 -o3' if twin else ''}; gcc {optimise} -DSAFETY; {reduction}; one core"
        )

    def missing(self) -> str | None:
        """What to do to have it."""
        if program("spin") is None:
            return "not installed: apt-get install spin"
        return "no C compiler for it: apt-get install gcc" if program("gcc") is None else None

    def ask(self, question: Question, limit: float) -> dict[str, Any]:
        """Generate, compile and run."""
        sizes = [
            f"-DV={question.vmas}",
            f"-DN={question.writers}",
            f"-DFIX={int(question.fixed)}",
            f"-DTWIN={int(self.twin)}",
        ]
        plain = ["-o1", "-o3"] if self.twin else []
        defines = ["-DSAFETY", *(["-DNOREDUCE"] if self.twin else [])]
        commands = [
            ["spin", "-a", *plain, *sizes, str(MODEL)],
            ["gcc", self.optimise, "-w", *defines, "-o", "pan", "pan.c"],
            ["./pan"],
        ]
        seconds: list[float] = []
        output = ""
        with tempfile.TemporaryDirectory(prefix="mmlocks-bench-") as folder:
            for command in commands:
                finished = run(command, limit - sum(seconds), Path(folder))
                seconds.append(finished.seconds)
                output = finished.output
                if finished.timed_out:
                    return {"outcome": "unproved", "wall": None}
                if finished.status != 0:
                    return {"outcome": "failed", "said": last_words(output, finished.status)}
        return {
            "wall": sum(seconds),
            "compile_seconds": sum(seconds[:2]),
            "search_seconds": seconds[2],
            "peak_mb": finished.peak_mb,
            **_read(output),
        }


def _read(output: str) -> dict[str, Any]:
    """The report of pan. It says "pan:1: " before what went wrong, and warns if its depth limit cut the search short."""
    stored = re.search(r"(\d+) states, stored", output)
    transitions = re.search(r"(\d+) transitions", output)
    errors = re.search(r"errors: (\d+)", output)
    memory = re.search(r"([\d.]+)\s+total actual memory usage", output)
    if not (stored and transitions and errors) or "max search depth too small" in output:
        return {"outcome": "failed", "said": last_words(output)}
    wrong = re.search(r"^pan:1: (.*)", output, re.MULTILINE)
    return {
        "outcome": "violated" if int(errors[1]) else "safe",
        "violation": wrong[1] if wrong else None,
        "states": number(stored[1]),
        "transitions": number(transitions[1]) - 1,  # the initial state counts as one
        "reserved_mb": float(memory[1])
        if memory
        else None,  # its table of states is reserved whole, and used as far as need be
    }
