"""What `mmlocks check` prints: the judgement of an answer, in words and as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmlocks.cli import terminal
from mmlocks.cli.report import explaining, print_replay, print_run, schedule_text, violation_json
from mmlocks.cli.terminal import ASIDE, Status
from mmlocks.errors import MmlocksError
from mmlocks.labs import CheckResult, Judgement
from mmlocks.labs.checks import LIMITS
from mmlocks.labs.feedback import Feedback
from mmlocks.labs.lab import Finding
from mmlocks.machine import Run
from mmlocks.scenarios.asked import ALL
from mmlocks.sentences import counted
from mmlocks.show.feedback_text import feedback_text

STATUS_OF_FINDING = {
    Finding.CORRECT: Status.FINE,
    Finding.WRONG: Status.WRONG,
    Finding.UNPROVED: Status.UNPROVED,
    Finding.COSTLY: Status.COSTLY,
}


def print_judgement(judgement: Judgement, file: Path, told: Feedback, called: str) -> None:
    """Print what was judged, every check, the total, and the shortest run of the first mistake.

    `called` is what the user called the lab.
    """
    lab = judgement.lab
    terminal.paragraph(f"{lab.name}: {lab.title}", terminal.TITLE)
    terminal.write(f"answer: {file}")
    terminal.paragraph(told.judged)
    terminal.gap()
    names = max(len(result.check.name) for result in judgement.results)
    findings = max(len(result.finding.value) for result in judgement.results)
    limits = f" {LIMITS}"
    for result in judgement.results:
        name, finding = result.check.name.ljust(names), result.finding.value.ljust(findings)
        terminal.write(f"{name}  {finding}  {result.points} of {result.check.points} points")
        terminal.paragraph(result.check.about, ASIDE, indent=4)
        terminal.paragraph(result.message.replace(limits, ""), indent=4)
        terminal.gap()
    if any(limits in result.message for result in judgement.results):
        terminal.paragraph(LIMITS, ASIDE)
        terminal.gap()
    terminal.write(f"{judgement.finding.value}: {judgement.points} of {lab.points} points")
    for result in judgement.results:
        if result.shown is not None:
            _print_counterexample(result, file)
            break
    if more := feedback_text(told, terminal.width()):
        terminal.gap()
        terminal.write(more)
    if any("budget" in result.message for result in judgement.results):
        terminal.paragraph("To search further, raise --seconds.")
    if judgement.finding in (Finding.WRONG, Finding.COSTLY):
        terminal.gap()
        terminal.paragraph("To get a hint:")
        terminal.command(f"mmlocks hint {called}")


def _print_counterexample(result: CheckResult, file: Path) -> None:
    shown, run = result.explained, _run_of(result)
    if shown is None or not run:  # no step was possible, and the message says why
        return
    steps = counted(len(run.joined()), "step")
    shortest = (
        f"The shortest way to break it takes {steps}"
        if shown.verdict.minimal
        else f"A way to break it, in {steps}"
    )
    terminal.gap()
    terminal.paragraph(
        f"{result.check.name}, in the scenario {shown.scenario.name.removesuffix(ALL)}. {shortest}:"
    )
    terminal.gap()
    print_run(run, shown.world, None)
    terminal.gap()
    story = shown.scenario.file or ""
    print_replay(shown.schedule, file, file=story)
    if not shown.of_all_runs:
        terminal.paragraph("To see why it goes wrong, and what would have saved it:")
        terminal.command(explaining(shown.schedule, file, file=story))


def _run_of(result: CheckResult) -> Run | None:
    try:
        return result.explained.run if result.explained is not None else None
    except MmlocksError:  # an answer that varies cannot be replayed, and its message says so
        return None


def judgement_json(judgement: Judgement, told: Feedback) -> dict[str, Any]:
    """The same as `print_judgement`, for programs."""
    more = told.as_json()
    return {
        "lab": judgement.lab.name,
        "judged": told.judged,
        "finding": judgement.finding.value,
        "points": judgement.points,
        "of": judgement.lab.points,
        "checks": [
            {
                "name": result.check.name,
                "points": result.points,
                "of": result.check.points,
                "finding": result.finding.value,
                "message": result.message,
                "schedule": schedule_text(result.shown.schedule)
                if result.shown is not None
                else None,
                "violation": violation_json(result.shown),
            }
            for result in judgement.results
        ],
        **{key: more[key] for key in ("counterexample", "likeness", "linux", "unjudged")},
    }
