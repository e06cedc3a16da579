"""A class of made-up submissions, judged as an instructor would: `mmlocks grade`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.ours import ROOT, MeasurementError
from benchmarks.process import run
from benchmarks.tables import table

GIVEN = """\
async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        {before}
        tmp = await vm_area_dup(mm, mpnt)
        {between}
        await copy_page_range(tmp, mpnt)
        {after}
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
"""
LOCK = "await vma_start_write(mpnt)"


def answer(**lines: str) -> str:
    """An answer to lab 07 with these lines in the loop."""
    return GIVEN.format(**{"before": "pass", "between": "pass", "after": "pass", **lines})


KINDS = {
    "right": (answer(before=LOCK), answer(between=LOCK)),
    "wrong": (answer(), answer(after=LOCK), answer(before="await vma_start_write(oldmm.vmas[0])")),
    "hostile": (
        "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\n",
        "while True: pass\n",
        answer(before="import os; os._exit(0)"),
        answer(before="kept = [0] * 10**9"),
        "async def dup_mmap(mm, oldmm:\n",
        "import socket\nsocket.create_connection(('127.0.0.1', 80))\n" + answer(before=LOCK),
    ),
}
"""A third of the class each. The last hostile one is right, but for the line that it begins with."""


def submissions(folder: Path, many: int) -> None:
    """So many submissions, one folder for each student; no two have the same bytes."""
    kinds = list(KINDS.values())
    for number in range(many):
        texts = kinds[number % len(kinds)]
        text = texts[number // len(kinds) % len(texts)]
        student = folder / f"student{number:04}"
        student.mkdir()
        (student / "answer.py").write_text(f"{text}# {number}\n", encoding="utf-8")


def grading(wanted: argparse.Namespace) -> list[dict[str, Any]]:
    """How long a class takes, with and without feedback, and how much memory."""
    rows = []
    for many, options in (
        ((30, ("--verdict-only",)),)
        if wanted.quick
        else ((30, ()), (100, ("--verdict-only",)), (300, ("--verdict-only",)))
    ):
        rows.append(_graded(many, options))
    print("\nA class on lab 07: a third right, a third wrong, a third hostile; two processes")
    print(
        table(
            ["submissions", "options", "seconds", "each", "peak MB", "findings"],
            [
                (
                    str(row["submissions"]),
                    row["options"] or "feedback",
                    f"{row['seconds']:.0f}",
                    f"{row['seconds'] / row['submissions']:.2f}",
                    f"{row['peak_mb']:.0f}",
                    ", ".join(f"{name} {number}" for name, number in row["findings"].items()),
                )
                for row in rows
            ],
        )
    )
    return rows


def _graded(many: int, options: tuple[str, ...]) -> dict[str, Any]:
    from mmlocks.grading.result import results_in

    with tempfile.TemporaryDirectory() as folder:
        handed_in, out = Path(folder, "submitted"), Path(folder, "grades")
        handed_in.mkdir()
        submissions(handed_in, many)
        done = run(
            [sys.executable, "-m", "mmlocks", "grade", handed_in, "--lab", "07", "--out", out,
             "--jobs", "2", *options],
            3600.0,
            ROOT,
        )  # fmt: skip
        if done.timed_out or done.status not in (0, 1):
            raise MeasurementError(f"mmlocks grade ended with {done.status}:\n{done.output}")
        found = Counter(result.finding for result in results_in(out / "results"))
    if sum(found.values()) != many:
        raise MeasurementError(f"{many} submissions, and {sum(found.values())} results")
    return {
        "submissions": many,
        "options": " ".join(options),
        "seconds": done.seconds,
        "peak_mb": done.peak_mb,
        "findings": dict(sorted(found.items())),
    }
