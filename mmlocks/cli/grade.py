"""`mmlocks grade`: a class's submissions, judged."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmlocks.cli import options
from mmlocks.cli.names import the_lab
from mmlocks.cli.terminal import ASIDE, BAD, TITLE, Counting, Status, command, gap, paragraph, write
from mmlocks.errors import GradingError
from mmlocks.sentences import counted

if TYPE_CHECKING:
    from datetime import datetime

    from mmlocks.grading.formats import Graded
    from mmlocks.grading.result import Result
    from mmlocks.grading.roster import Student
    from mmlocks.grading.submissions import Collection
    from mmlocks.labs import Lab

NOTES = (
    "SUBMISSIONS is a folder, a zip, a download from Canvas or Moodle, one folder for each "
    "student, or nbgrader's submitted/. Ctrl-C loses nothing: the same command goes on where it "
    "stopped. Exit status: 0 all judged; 1 a person should look at some; 2 bad usage, or files "
    "that cannot be used; 130 interrupted."
)


@click.command(epilog=NOTES)
@click.argument("submissions", metavar="SUBMISSIONS", type=Path, help="What was handed in.")
@click.option("--out", metavar="DIR", type=Path, required=True, help="Where the results go.")
@click.option("--lab", "lab_name", metavar="LAB", help="Such as lab07. Default: the assignment's.")
@click.option("--assignment", metavar="DIR", type=Path, help="What `mmlocks assign` wrote.")
@click.option("--roster", "roster_file", metavar="FILE", type=Path, help="Who is in the class.")
@click.option("--due", "due_text", metavar="DATE", help="When it was due. Default: as assigned.")
@click.option(
    "--late",
    metavar="POLICY",
    default="none",
    show_default=True,
    help="none; zero,grace=15m; 10%/day,cap=50%,grace=15m.",
)
@click.option(
    "--extensions",
    metavar="FILE",
    type=Path,
    help="Default: extensions.csv in the folder of --out.",
)
@click.option(
    "--adjustments",
    metavar="FILE",
    type=Path,
    help="Points set by hand. Default: adjustments.csv in the folder of --out.",
)
@click.option("--regrade", is_flag=True, help="Judge again what has a result already.")
@click.option("--student", metavar="ID", help="Judge this student alone, again.")
@click.option("--verdict-only", is_flag=True, help="Write no feedback: faster.")
@click.option(
    "--nbval", is_flag=True, help="Ask nbval as well, and report where it differs: slower."
)
@click.option(
    "--require-isolation", is_flag=True, help="Run nothing if this machine cannot isolate it."
)
@options.jobs("Judge on so many processes.", "the number of cores")
@options.dask
@options.seconds
def grade(
    submissions: Path,
    out: Path,
    lab_name: str | None,
    assignment: Path | None,
    roster_file: Path | None,
    due_text: str | None,
    late: str,
    extensions: Path | None,
    adjustments: Path | None,
    regrade: bool,
    student: str | None,
    verdict_only: bool,
    nbval: bool,
    require_isolation: bool,
    jobs: int | None,
    dask: str | None,
    seconds: float | None,
) -> int:
    """
    Judge what a class handed in.

    Each answer runs in a sandbox of its own. Writes a result and feedback for each submission, and
    for the class grades.csv, class.html and files for other systems.
    """
    import os

    from mmlocks.cli.executors import executor
    from mmlocks.grading.assign import parsed_due
    from mmlocks.grading.assignment import Assignment, read_assignment
    from mmlocks.grading.batch import Clock, Terms
    from mmlocks.grading.batch import grade as judged
    from mmlocks.grading.formats import Graded
    from mmlocks.grading.late import (
        mark_of,
        policy_of,
        read_adjustments,
        read_extensions,
        strangers,
    )
    from mmlocks.grading.nbval_run import available
    from mmlocks.grading.roster import read_roster
    from mmlocks.grading.sandbox import NONE, isolation
    from mmlocks.grading.submissions import collect

    policy = policy_of(late)
    assigned = read_assignment(assignment) if assignment is not None else Assignment((), None, None)
    lab = the_lab(lab_name or _only(assigned.labs))
    due = parsed_due(due_text) if due_text is not None else assigned.due
    known = roster_file or assigned.roster
    roster = read_roster(known) if known is not None else None
    more_time = _given(extensions, out / "extensions.csv")
    by_hand = _given(adjustments, out / "adjustments.csv")
    longer = read_extensions(more_time) if more_time is not None else ()
    set_points = (
        read_adjustments(by_hand, [check.name for check in lab.checks])
        if by_hand is not None
        else ()
    )
    collected = collect(submissions, lab.name, roster)
    chosen = [
        each
        for each in collected.submissions
        if student is None or each.student.answers_to(student)
    ]
    if student is not None and not chosen:
        raise GradingError(
            f"{student!r} is the id, login or e-mail of no submission in {submissions}."
        )
    _print_collected(lab, collected)
    if isolation().kind == NONE:
        paragraph(isolation().says, BAD)
    if nbval and not available():
        paragraph(
            "nbval is not asked: it needs the packages nbval and ipykernel (the extra `course`), "
            "and isolation (`mmlocks doctor`). The marks do not depend on it.",
            BAD,
        )
    terms = Terms(lab.name, due, longer, seconds, require_isolation=require_isolation,
                  verdict_only=verdict_only, nbval=nbval)  # fmt: skip
    many = jobs or (None if dask else os.cpu_count() or 1)
    clock = Clock()
    with ExitStack() as stack:
        counting = stack.enter_context(Counting(f"{lab.name}: judging"))
        results = judged(
            chosen,
            terms,
            out,
            lambda: executor(many, dask),
            anew=regrade or student is not None,
            progress=lambda done, of, before: counting(done, of, clock.left(done, of, before)),
        )
    if student is not None:
        results = _all_results(out, collected)
    graded = [Graded(result, mark_of(result, policy, set_points)) for result in results]
    absent = roster.absent(result.student for result in results) if roster is not None else ()
    _write_class(out, lab, graded, absent, due)
    students = [each.student for each in collected.submissions]
    notes = [*strangers(longer, students), *strangers(set_points, students)]
    if len(graded) < len(students):
        left = counted(len(students) - len(graded), "submission")
        notes.append(
            f"Not in the marks yet, since it has no result: {left}. Judge the class first."
        )
    return _print_class(out, graded, len(absent), notes)


def _only(labs: Sequence[str]) -> str:
    if len(labs) == 1:
        return labs[0]
    raise GradingError(
        f"say which lab: {', '.join(f'--lab {lab}' for lab in labs) or '--lab lab07'}."
    )


def _given(named: Path | None, usual: Path) -> Path | None:
    """The file that was named, or the usual one if there is one."""
    return named if named is not None else usual if usual.exists() else None


def _all_results(out: Path, collected: Collection) -> list[Result]:
    """The results of all submissions that have one, after one of them was judged again."""
    from mmlocks.grading.batch import RESULTS
    from mmlocks.grading.result import read_result, result_file

    files = [result_file(out / RESULTS, each.student) for each in collected.submissions]
    return [read_result(file) for file in files if file.exists()]


def _print_collected(lab: Lab, collected: Collection) -> None:
    many = counted(len(collected.submissions), "submission")
    paragraph(f"{lab.name}: {many} ({collected.kind})", TITLE)
    for note in collected.notes:
        paragraph(note, ASIDE)


def _write_class(
    out: Path, lab: Lab, graded: Sequence[Graded], absent: Sequence[Student], due: datetime | None
) -> None:
    from mmlocks.grading.class_page import class_page
    from mmlocks.grading.formats import GRADES, grades_csv, gradescope, junit_xml, nbgrader_csv
    from mmlocks.grading.result import result_file, write_whole

    write_whole(out / GRADES, grades_csv(graded, absent))
    write_whole(out / "class.html", class_page(lab.name, graded, absent, lab.points).encode())
    write_whole(out / "junit.xml", junit_xml(graded))
    write_whole(out / "nbgrader.csv", nbgrader_csv(graded, due, absent))
    for each in graded:
        write_whole(result_file(out / "gradescope", each.result.student), gradescope(each))


def _print_class(out: Path, graded: Sequence[Graded], absent: int, notes: Sequence[str]) -> int:
    from collections import Counter

    findings = Counter(each.result.finding for each in graded)
    gap()
    write("  ".join(f"{finding}: {many}" for finding, many in sorted(findings.items())), TITLE)
    if absent:
        write(f"Not handed in: {absent}")
    for note in notes:
        paragraph(f"Note: {note}")
    seen = [each for each in graded if each.result.eye or each.mark.eye]
    if seen:
        gap()
        write("For a person to look at", TITLE)
        for each in seen:
            why = "; ".join((*each.result.eye, *each.mark.eye))
            paragraph(f"{each.result.student.label}: {why}", indent=2)
    gap()
    write(f"Marks: {out / 'grades.csv'}   The class: {out / 'class.html'}")
    paragraph("To bring the marks into your gradebook, export it there, and then:")
    command(f"mmlocks export canvas {out} GRADEBOOK.csv")
    return Status.WRONG if seen else Status.FINE
