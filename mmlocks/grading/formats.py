"""What is written for a class: grades.csv, JUnit XML, Gradescope's results.json, nbgrader's CSV.

Gradescope's format is that of its autograder documentation ("Autograder Specifications", output
format). nbgrader's columns are those of nbgrader `plugins/export.py`. The elements of JUnit XML
are the common ones, from memory: there is no one standard.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

from mmlocks.errors import GradingError
from mmlocks.grading.late import Mark, amount, number_of
from mmlocks.grading.result import Result, results_in
from mmlocks.grading.roster import Student, columns_of, student_of
from mmlocks.grading.tables import read_table

NOT_HANDED_IN = "NOT HANDED IN"
GRADES = "grades.csv"
BEFORE = ("id", "login", "email", "name", "other_ids", "lab", "file", "submitted", "late_seconds")
AFTER = ("points", "mark", "max_points", "how", "eye")
FORMULA = re.compile(r"'*\s*[=+\-@\t\r]")
"""What a spreadsheet would take for a formula (OWASP's page "CSV Injection", from memory)."""
UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold."""


@dataclass(frozen=True)
class Graded:
    """A result, and the mark that came of it."""

    result: Result
    mark: Mark


@dataclass(frozen=True)
class Line:
    """A student's mark as a gradebook needs it; None if nothing was handed in."""

    student: Student
    mark: Fraction | None


@dataclass(frozen=True)
class Grades:
    """The marks of one lab."""

    lab: str
    max_points: Fraction
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()


def grades_csv(graded: Sequence[Graded], absent: Iterable[Student] = ()) -> bytes:
    """One line for each student and one column for each check. UTF-8 with a byte order mark.

    Excel needs that mark to read UTF-8. A text that a spreadsheet would run gets a ' in front.
    """
    checks = list(dict.fromkeys(check.name for each in graded for check in each.result.checks))
    rows = [[*BEFORE, "finding", *checks, *AFTER]]
    for each in graded:
        result, came = each.result, each.result.submission
        points = {check.name: str(check.points) for check in result.checks}
        late = "" if came.late_seconds is None else str(came.late_seconds)
        rows.append(
            [
                *_whom(result.student),
                *(result.lab, came.file, came.submitted or "", late, result.finding),
                *(points.get(name, "") for name in checks),
                *(str(result.points), amount(each.mark.points), str(result.max_points)),
                " ".join(each.mark.steps),
                " ".join((*result.eye, *each.mark.eye)),
            ]
        )
    lab, most = (graded[0].result.lab, str(graded[0].result.max_points)) if graded else ("", "")
    for student in absent:
        row = [*_whom(student), lab, "", "", "", NOT_HANDED_IN, *([""] * len(checks))]
        rows.append([*row, "", "", most, "", ""])
    return b"\xef\xbb\xbf" + _csv(rows)


def read_grades(place: Path) -> Grades:
    """The marks in a folder of results or in a grades.csv. Raises GradingError.

    A folder's grades.csv is taken if there is one. Without it, the marks are the judge's points,
    and a note says so.
    """
    if place.is_dir() and not (place / GRADES).exists():
        return _grades_of_results(place)
    table = read_table(place / GRADES if place.is_dir() else place)
    columns = columns_of(table)
    header = list(table.header)
    for name in ("mark", "max_points", "lab"):
        if name not in header:
            raise GradingError(
                f"{table.name}, line 1: no column is called {name}, so `mmlocks grade` did not "
                "write it. Name the folder of results, or its grades.csv."
            )
    others = header.index("other_ids") if "other_ids" in header else None
    lines, labs, most = [], [], Fraction(0)
    for row in range(1, len(table.rows)):
        student = student_of(table, row, columns)
        more = filter(None, table.value(row, others).split("|"))
        student = Student(
            bare(student.id),
            bare(student.login),
            bare(student.email),
            bare(student.name),
            tuple(map(bare, more)),
        )
        text = table.value(row, header.index("mark"))
        mark = number_of(text, table.where(row)) if text else None
        full = table.value(row, header.index("max_points"))
        most = max(most, number_of(full, table.where(row)) if full else most)
        labs.append(bare(table.value(row, header.index("lab"))))
        lines.append(Line(student, mark))
    return _grades(table.name, labs, most, lines)


def _grades_of_results(place: Path) -> Grades:
    results = list(results_in(place / "results" if (place / "results").is_dir() else place))
    lines = [Line(each.student, Fraction(each.points)) for each in results]
    most = Fraction(max((each.max_points for each in results), default=0))
    note = (
        f"{place} has no {GRADES}, so these are the judge's points, without adjustments by hand "
        "and late policies."
    )
    return _grades(str(place), [each.lab for each in results], most, lines, (note,))


def _grades(
    name: str,
    labs: Iterable[str],
    most: Fraction,
    lines: Sequence[Line],
    notes: tuple[str, ...] = (),
) -> Grades:
    known = sorted(set(labs) - {""})
    if not lines:
        raise GradingError(f"{name} holds no marks. Run `mmlocks grade` first.")
    if len(known) > 1:
        raise GradingError(
            f"{name} holds the labs {', '.join(known)}. A gradebook's column takes one of them."
        )
    return Grades("".join(known), most, tuple(lines), notes)


def junit_xml(graded: Sequence[Graded]) -> bytes:
    """JUnit XML: a suite for each student, a case for each check. What could not be judged errs."""
    root = ElementTree.Element("testsuites", name="mmlocks")
    for each in graded:
        result = each.result
        failed = [check for check in result.checks if check.points < check.max_points]
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=_xml(result.student.label),
            tests=str(len(result.checks) or 1),
            failures=str(len(failed)),
            errors=str(int(not result.checks)),
            skipped="0",
        )
        for check in result.checks:
            case = ElementTree.SubElement(
                suite, "testcase", classname=_xml(result.lab), name=_xml(check.name)
            )
            if check in failed:
                fault = ElementTree.SubElement(case, "failure", type=check.finding)
                fault.set("message", f"{check.points} of {check.max_points} points")
                fault.text = _xml(check.message)
        if not result.checks:
            case = ElementTree.SubElement(
                suite, "testcase", classname=_xml(result.lab), name="submission"
            )
            fault = ElementTree.SubElement(case, "error", type=result.finding)
            fault.text = _xml(" ".join(result.eye))
    ElementTree.indent(root)
    whole: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return whole + b"\n"


def gradescope(graded: Graded) -> bytes:
    """Gradescope's results.json of one submission: the mark as its score, a test for each check."""
    result = graded.result
    tests = [
        {
            "name": check.name,
            "score": check.points,
            "max_score": check.max_points,
            "status": "passed" if check.points == check.max_points else "failed",
            "output": check.message,
            "output_format": "text",
            "visibility": "visible",
        }
        for check in result.checks
    ]
    value = {
        "score": _number(graded.mark.points),
        "output": " ".join((*graded.mark.steps, *(() if result.checks else result.eye))),
        "output_format": "text",
        "stdout_visibility": "hidden",
        "tests": tests,
        "extra_data": {"lab": result.lab, "key": result.key, "mmlocks": result.mmlocks},
    }
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def nbgrader_csv(
    graded: Sequence[Graded], due: datetime | None = None, absent: Iterable[Student] = ()
) -> bytes:
    """The columns of `nbgrader export`. A name without a comma stands whole under last_name.

    As nbgrader does, students who handed in nothing get 0.
    """
    head = "assignment duedate timestamp student_id last_name first_name email raw_score"
    rows = [[*head.split(), "late_submission_penalty", "score", "max_score"]]
    until = due.isoformat(" ") if due is not None else ""
    for each in graded:
        result, mark = each.result, each.mark.points
        before = max(Fraction(result.points), mark)
        rows.append(
            [
                *(result.lab, until, result.submission.submitted or "", *_short(result.student)),
                *(_float(before), _float(before - mark), _float(mark)),
                _float(Fraction(result.max_points)),
            ]
        )
    lab, most = (graded[0].result.lab, graded[0].result.max_points) if graded else ("", 0)
    for student in absent:
        row = [lab, until, "", *_short(student), "0.0", "0.0", "0.0"]
        rows.append([*row, _float(Fraction(most))])
    return _csv(rows)


def safe(text: str) -> str:
    """A text that no spreadsheet takes for a formula; `bare` undoes it."""
    return f"'{text}" if FORMULA.match(text) else text


def bare(text: str) -> str:
    """The text that `safe` was given."""
    return text[1:] if text.startswith("'") and FORMULA.match(text[1:]) else text


def _whom(student: Student) -> list[str]:
    return [student.id, student.login, student.email, student.name, "|".join(student.others)]


def _short(student: Student) -> list[str]:
    last, _, first = student.name.partition(",")
    return [student.id or student.login, last.strip(), first.strip(), student.email]


def _csv(rows: Iterable[Sequence[str]]) -> bytes:
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows([safe(cell) for cell in row] for row in rows)
    return stream.getvalue().encode("utf-8", "backslashreplace")


def _number(value: Fraction) -> int | float:
    return int(value) if value.denominator == 1 else float(amount(value))


def _float(value: Fraction) -> str:
    return str(float(amount(value)))


def _xml(text: str) -> str:
    return UNPRINTABLE.sub("\ufffd", text)
