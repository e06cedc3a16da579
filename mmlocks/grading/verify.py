"""An appeal: the verdict of a result, searched again from what its record says the code did.

No code of the student's runs. So one thing is not repeated: whether the code does the same when it
is asked again. The judge looked at that when it ran the code.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from mmlocks.errors import GradingError, MmlocksError, Undecided
from mmlocks.grading.examine import ExaminedCheck, OutOfTime, examined_check, stopped_after
from mmlocks.grading.recorded import Recorded
from mmlocks.grading.remote import ReplacementsThere
from mmlocks.grading.result import Result
from mmlocks.labs import lab_named
from mmlocks.labs.answer import Answer
from mmlocks.labs.lab import Finding, Lab
from mmlocks.mm.replacing import Replacements
from mmlocks.search import Budget
from mmlocks.search.verdict import Cancelled

WALL = 120.0
"""Seconds of wall time."""
NOT_REPEATED = (
    "Not repeated: whether the code does the same when it runs again. Only running it shows that, "
    "and the judge looked at it when it marked the answer."
)


@dataclass(frozen=True)
class Verified:
    """What was found now. `finding` is None if it cannot be said, and `why` then says why.

    `differences` lists what does not agree with the result, in sentences.
    """

    lab: str
    finding: Finding | None
    points: int
    of: int
    checks: tuple[ExaminedCheck, ...]
    why: str
    differences: tuple[str, ...]
    seconds: float

    @property
    def agrees(self) -> bool:
        """Whether finding, points, checks and runs are those of the result."""
        return self.finding is not None and not self.differences


class _Replacements(ReplacementsThere):
    """The functions of a record. They cannot be made anew."""

    runs_code = False  # so nothing is rehearsed

    def anew(self) -> Replacements | None:
        return None


def verify(result: Result, budget: Budget | None = None, wall: float = WALL) -> Verified:
    """Search the verdict of a result again, within `wall` seconds.

    Raises GradingError if the result has no record, a damaged one, or one of another answer or lab.
    """
    begun = time.monotonic()
    deadline = begun + wall
    try:
        lab = lab_named(result.lab)
    except MmlocksError as problem:
        raise GradingError(f"The result is of a lab that is not here: {problem}") from None
    record = result.automaton
    if record is None:
        raise GradingError(
            "The result has no record of what the code did, since nothing was judged. Judge the "
            "submission again."
        )
    try:
        recorded = Recorded(record, deadline)
    except (TypeError, KeyError, IndexError, AttributeError, RecursionError):
        raise GradingError("The record of what the code did has not the form of one.") from None
    if record["text"] != result.submission.sha256:
        raise GradingError("The record of what the code did is of another submission.")

    def progress(*_: float) -> bool:
        if time.monotonic() >= deadline:
            raise Cancelled("the time is used up")
        return True

    finding: Finding | None = None
    checks: tuple[ExaminedCheck, ...] = ()
    why = ""
    try:
        with stopped_after(wall):
            there = _Replacements(recorded, record["text"])
            judgement = lab.judge(Answer(there, {}, there.judged), budget, progress)
            finding, checks = judgement.finding, tuple(map(examined_check, judgement.results))
    except OutOfTime:
        why = f"Searching it again takes longer than {wall:.0f} s."
    except Undecided:
        finding = Finding.UNPROVED
    except MmlocksError as problem:
        why = str(problem)
    except Exception as problem:  # a record may be forged to find an error of ours
        why = f"The judge itself failed on this record: {type(problem).__name__}: {problem}"
    if recorded.broken:
        raise GradingError(f"{recorded.broken}: it is forged or damaged.")
    if recorded.missing:
        finding, checks = None, ()
        why = (
            f"This release of mmlocks asks for something that is not recorded: {recorded.missing}."
        )
    differences = _differences(result, lab, finding, checks)
    if (differences or recorded.missing) and record["unsteady"]:
        finding, checks = None, ()
        why = (
            "The judge saw that the code does not always do the same, which no record can show: "
            f"{record['unsteady'][0]}"
        )
    return Verified(
        lab.name,
        finding,
        sum(check.points for check in checks),
        lab.points,
        checks,
        why,
        differences if finding is not None else (),
        time.monotonic() - begun,
    )


def _differences(
    result: Result, lab: Lab, finding: Finding | None, checks: tuple[ExaminedCheck, ...]
) -> tuple[str, ...]:
    if finding is None:
        return ()
    found: list[str] = []

    def compare(what: str, before: object, now: object) -> None:
        if before != now:
            found.append(f"{what}: {before} in the result, {now} now")

    compare("finding", result.finding, finding.value)
    compare("points", result.points, sum(check.points for check in checks))
    compare("points of the lab", result.max_points, lab.points)
    compare("checks", [one.name for one in result.checks], [one.name for one in checks])
    for before, now in zip(result.checks, checks, strict=False):
        compare(f"finding of {now.name}", before.finding, now.finding.value)
        compare(f"points of {now.name}", before.points, now.points)
        if before.schedule != now.schedule:
            found.append(f"run of {now.name}: another one than in the result")
    return tuple(found)
