"""`mmlocks verify`: an appeal. The verdict of a result is searched again; no code of it runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmlocks.cli import options
from mmlocks.cli.terminal import (
    ASIDE,
    BAD,
    GOOD,
    TITLE,
    UNSURE,
    Status,
    gap,
    paragraph,
    print_json,
    write,
)

if TYPE_CHECKING:
    from mmlocks.grading.result import Result
    from mmlocks.grading.verify import Verified

NOTES = (
    "RESULT is a file of the folder results that `mmlocks grade` wrote. Exit status: 0 the verdict "
    "is the same; 1 it is another one; 2 the file cannot be used, or its record is damaged; 3 this "
    "release of mmlocks cannot tell."
)


@click.command(epilog=NOTES)
@click.argument("file", metavar="RESULT", type=Path, help="A result, such as results/jane-1.json.")
@options.seconds
@options.as_json
def verify(file: Path, seconds: float | None, as_json: bool) -> int:
    """
    Search a result's verdict again, from its record.

    A result says what the answer's code did each time that it was asked. That record is enough to
    search every interleaving again, on any machine. The code does not run.
    """
    from mmlocks.cli.names import budget
    from mmlocks.errors import GradingError
    from mmlocks.grading.result import read_result
    from mmlocks.grading.verify import verify as verified

    result = read_result(file)
    try:
        found = verified(result, budget(None, seconds) if seconds is not None else None)
    except GradingError as problem:
        raise GradingError(f"{file}: {problem}") from None
    if as_json:
        print_json(_as_json(result, found))
    else:
        _print(file, result, found)
    if found.finding is None:
        return Status.UNPROVED
    return Status.FINE if found.agrees else Status.WRONG


def _print(file: Path, result: Result, found: Verified) -> None:
    from mmlocks.grading.verify import NOT_REPEATED

    paragraph(f"{found.lab}: {result.student.label}", TITLE)
    write(f"result: {file}")
    gap()
    if found.finding is None:
        paragraph(f"Not decided. {found.why}", UNSURE)
        paragraph("To be sure, judge the submission itself again: `mmlocks grade --regrade`.")
        return
    for check in found.checks:
        write(f"{check.name}  {check.finding.value}  {check.points} of {check.of} points")
        paragraph(check.message, indent=4)
    gap()
    write(f"{found.finding.value}: {found.points} of {found.of} points")
    gap()
    if found.agrees:
        paragraph("The verdict is the same as in the result.", GOOD)
    else:
        paragraph("The verdict is not the same as in the result:", BAD)
        for difference in found.differences:
            paragraph(difference, indent=4)
    paragraph(NOT_REPEATED, ASIDE)


def _as_json(result: Result, found: Verified) -> dict[str, Any]:
    from mmlocks import __version__
    from mmlocks.grading.verify import NOT_REPEATED

    return {
        "lab": found.lab,
        "student": result.student.label,
        "agrees": found.agrees if found.finding is not None else None,
        "why": found.why,
        "differences": list(found.differences),
        "finding": found.finding.value if found.finding is not None else None,
        "points": found.points,
        "of": found.of,
        "checks": [
            {
                "name": check.name,
                "points": check.points,
                "of": check.of,
                "finding": check.finding.value,
                "message": check.message,
                "schedule": check.schedule,
            }
            for check in found.checks
        ],
        "graded_by": result.mmlocks,
        "verified_by": __version__,
        "not_repeated": NOT_REPEATED,
    }
