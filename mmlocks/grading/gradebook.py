"""Fills one column of the gradebook that a teacher exported from Canvas or Moodle.

Every byte outside of that column stays as it was. A mark that finds no row, or not the right one
for certain, is named, and stands in the way until the teacher allows that it is left out.

What Canvas does with the file is from canvas-lms `lib/gradebook_importer.rb` and its issues 2134
("final" in a name) and 624 (Complete/Incomplete). What Moodle does is from its
`mod/assign/feedback/offline/` and `mod/assign/gradingtable.php`. What Moodle's gradebook import
does with its own export was not looked up; its columns are from tests of `grade/import/csv`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from mmlocks.errors import GradingError
from mmlocks.grading.formats import Grades
from mmlocks.grading.late import amount
from mmlocks.grading.layouts import mentions
from mmlocks.grading.roster import Student, columns_of, plain, student_of
from mmlocks.grading.tables import Table
from mmlocks.sentences import counted

CANVAS_OWN = re.compile(r"(Current|Final|Override) (Score|Points|Grade|Status)")
"""Columns that Canvas computes itself, and leaves out when it imports."""
CANVAS_FIRST = {"student", "lastname", "firstname", "id", "sis user id", "sis login id", "section"}
CANVAS_FIRST |= {"integration id", "root account"}
CANVAS_ASSIGNMENT = re.compile(r"(?P<title>.*\S) \(\d+\)")
GRADE = ("grade", "bewertung")
MAXIMUM = ("maximum grade", "bestwertung")
CHANGEABLE = ("grade can be changed", "bewertung kann geandert werden")
"""Columns of Moodle's grading worksheet, English and German, without accents.

In other languages, --column says which column takes the marks.
"""
SCALE = ("scale", "skala")
NOT_POINTS = re.compile(r"feedback|percentage|prozent|letter", re.I)
NO = {"no", "nein"}
KEPT = {"EX": "is excused", "N/A": "does not have this assignment"}
"""What Canvas writes in place of a score."""
SHOWN = 10


@dataclass(frozen=True)
class Filled:
    """A filled gradebook: its bytes, and sentences.

    `left_out` names each mark that found no certain row; while there are any, nothing should be
    written unless the teacher allows it. `warnings` are traps, and `said` what was done.
    """

    content: bytes
    column: str
    left_out: tuple[str, ...]
    warnings: tuple[str, ...]
    said: tuple[str, ...]


def fill_canvas(grades: Grades, table: Table, column: str = "") -> Filled:
    """Fill a gradebook that was exported from Canvas. Raises GradingError if it is not one."""
    header = [title.casefold() for title in table.header]
    if not {"id", "section"} <= set(header) or header[0] not in ("student", "lastname"):
        raise GradingError(
            f"{table.name} is not a gradebook of Canvas: its first line must begin with Student "
            "and ID, and have Section. In Canvas, take Grades > Export, and change nothing in it."
        )
    titles = [
        number
        for number, title in enumerate(table.header)
        if header[number] not in CANVAS_FIRST and title and not CANVAS_OWN.search(title)
    ]
    if column and CANVAS_OWN.search(column):
        raise GradingError(_never_imported(column))
    target = _target(table, titles, column, grades.lab, CANVAS_ASSIGNMENT)
    title = table.header[target]
    rows, possible = [], None
    for row in range(1, len(table.rows)):
        first = table.value(row, 0)
        cells = {cell.text.strip() for cell in table.rows[row]} - {""}
        if "Points Possible" in first:
            possible = table.value(row, target)
        elif all(re.match(r"(Muted|Manual Posting.*)$", text, re.I) for text in cells):
            continue  # also lines in which nothing stands
        elif plain(first) != "test student":
            rows.append(row)
    if possible is not None and "read only" in possible:
        raise GradingError(
            f"{table.name}: the column {title} is read only, and Canvas does not import it. Choose "
            "another with --column."
        )
    warnings = []
    if "final" in title.casefold():
        warnings.append(
            f'The column {title} has "final" in its name. Canvas was reported to ignore such '
            "columns without a word. Rename the assignment in Canvas and export again, or look "
            "after the import whether the marks are there."
        )
    marks = [line.mark for line in grades.lines if line.mark is not None]
    if any(mark not in (0, grades.max_points) for mark in marks):
        warnings.append(
            "If Canvas shows this assignment as Complete/Incomplete, it drops all marks but 0 and "
            "the full ones without a word. Let it be shown as points."
        )
    most = _value(possible or "")
    if most is not None and most != grades.max_points:
        warnings.append(
            f"The assignment has {amount(most)} points in Canvas and "
            f"{amount(grades.max_points)} in mmlocks. The marks are written as they are."
        )

    def kept(row: int) -> str:
        return KEPT.get(table.value(row, target).upper(), "")

    return _filled(grades, table, target, rows, kept, warnings)


def fill_moodle(grades: Grades, table: Table, column: str = "") -> Filled:
    """Fill a grading worksheet or a gradebook of Moodle. Raises GradingError if it is neither."""
    header = [plain(title) for title in table.header]
    known = columns_of(table)
    if not set(known) & {"id", "email", "login"}:
        raise GradingError(
            f"{table.name} is not a sheet of Moodle: no column has an identifier, a user name or "
            "an e-mail address. Export it again, and change nothing in it."
        )
    worksheet = [number for number, title in enumerate(header) if title in GRADE]
    people = {number for numbers in known.values() for number in numbers}
    titles = [
        number
        for number, title in enumerate(header)
        if title and number not in people and not NOT_POINTS.search(title)
    ]
    if any(title in SCALE for title in header) and not column:
        raise GradingError(
            f"{table.name}: this assignment has a scale, which takes no points. Set its grade to "
            "points in Moodle, and export again."
        )
    if not column and len(worksheet) == 1:
        target = worksheet[0]
    else:
        target = _target(table, titles, column, grades.lab)
    highest = next((number for number, title in enumerate(header) if title in MAXIMUM), None)
    locked = next((number for number, title in enumerate(header) if title in CHANGEABLE), None)
    rows = [row for row in range(1, len(table.rows)) if any(c.text for c in table.rows[row])]
    limits = {most for row in rows if (most := _value(table.value(row, highest))) is not None}
    if target in worksheet and limits and min(limits) < grades.max_points:
        raise GradingError(
            f"{table.name}: the highest grade is {amount(min(limits))}, and the lab has "
            f"{amount(grades.max_points)} points. Moodle skips higher grades without a word. Set "
            "the assignment's maximum grade to the lab's points, and export again."
        )
    warnings = []
    if limits and max(limits) > grades.max_points:
        warnings.append(
            f"The highest grade is {amount(max(limits))} in Moodle and {amount(grades.max_points)} "
            "in mmlocks. The marks are written as they are."
        )
    if target in worksheet:
        warnings.append(
            "Moodle skips grades that were changed there since the export, unless you tick the box "
            "for that when you upload the sheet."
        )

    def kept(row: int) -> str:
        closed = target in worksheet and plain(table.value(row, locked)) in NO
        return "has a grade that is locked in Moodle" if closed else ""

    return _filled(grades, table, target, rows, kept, warnings)


def _never_imported(title: str) -> str:
    return (
        f"Canvas computes columns such as {title} itself and does not import them. Rename the "
        "assignment in Canvas, and export again."
    )


def _target(
    table: Table,
    titles: Sequence[int],
    column: str,
    lab: str,
    assignment: re.Pattern[str] | None = None,
) -> int:
    """The column to fill: the one that is named, else the only one that speaks of the lab."""

    def short(number: int) -> str:
        found = assignment.fullmatch(table.header[number]) if assignment else None
        return found["title"] if found else table.header[number]

    named = ", ".join(table.header[number] for number in titles) or "none"
    if column:
        same = [
            number
            for number in titles
            if column.casefold() in (table.header[number].casefold(), short(number).casefold())
        ]
        if len(same) == 1:
            return same[0]
        what = "several columns are" if same else "no column is"
        raise GradingError(
            f"{table.name}: {what} called {column!r}. Its columns for marks are: {named}. If the "
            "assignment is missing, make it there first, and export again."
        )
    found = [number for number in titles if mentions(table.header[number], lab)]
    if len(found) != 1:
        what = "several columns speak" if found else "no column speaks"
        own = next((title for title in table.header if mentions(title, lab)), "")
        if not found and own:
            raise GradingError(f"{table.name}: {_never_imported(own)}")
        raise GradingError(
            f"{table.name}: {what} of {lab or 'the lab'}. Name one with --column: {named}."
        )
    return found[0]


def _filled(
    grades: Grades,
    table: Table,
    target: int,
    rows: Sequence[int],
    kept: Callable[[int], str],
    warnings: list[str],
) -> Filled:
    columns = columns_of(table)
    people = {row: student_of(table, row, columns) for row in rows}
    index = _Index(people)
    comma = _decimal_mark(table, rows, target)
    values: dict[int, str] = {}
    whose: dict[int, Student] = {}
    left_out, said, changed = [], [], 0
    waiting = [line.student for line in grades.lines if line.mark is None]
    for line in grades.lines:
        if line.mark is None:
            continue
        row, why = index.row_of(line.student)
        if row is not None and row in whose:
            where = table.where(row)
            other = whose[row].label
            why = (
                f"{where} is also the row of {other}: two marks for one row, so neither is written"
            )
            # Which of the two is right cannot be told, so neither is written.
            values.pop(row, None)
        elif row is not None and (reason := kept(row)):
            whose[row] = line.student
            said.append(f"{line.student.label} {reason} ({table.where(row)}), so nothing changed.")
            continue
        elif row is not None:
            whose[row] = line.student
            before = _value(table.value(row, target))
            changed += before is not None and before != line.mark
            values[row] = amount(line.mark, comma)
            continue
        left_out.append(f"{line.student.label}: {why}.")
    count = counted(len(values), "mark")
    said.insert(0, f"{count} in the column {table.header[target]}.")
    if changed:
        said.append(f"{counted(changed, 'mark')} stood there before with another value.")
    nothing = [people[row].label for row in rows if row not in whose]
    if nothing:
        more = f" and {len(nothing) - SHOWN} more" if len(nothing) > SHOWN else ""
        said.append(f"No mark, and nothing changed: {', '.join(nothing[:SHOWN])}{more}.")
    if waiting:
        said.append(f"{counted(len(waiting), 'student')} handed in nothing and got no mark.")
    return Filled(
        table.filled(target, values),
        table.header[target],
        tuple(left_out),
        tuple(warnings),
        tuple(said),
    )


class _Index:
    """Finds the row of a student: by id, then login, then e-mail."""

    def __init__(self, people: dict[int, Student]) -> None:
        self.people = people
        self.ids = _by(people, lambda one: one.ids)
        # Many universities use the e-mail address as login, so each is looked for in both columns.
        self.logins = _by(people, lambda one: (one.login.casefold(),))
        self.emails = _by(people, lambda one: (one.email.casefold(), one.login.casefold()))

    def row_of(self, student: Student) -> tuple[int | None, str]:
        """The row, or None and why."""
        login, email = student.login.casefold(), student.email.casefold()
        for kind, keys, index in (
            ("id", student.ids, self.ids),
            ("login", (login,), self.logins),
            ("e-mail", (email,), self.emails),
        ):
            rows = sorted({row for key in keys if key for row in index.get(key, ())})
            if len(rows) > 1:
                return None, f"{len(rows)} rows have its {kind}"
            if rows:
                return self._agreed(student, rows[0], kind)
        return None, "no row has its id, login or e-mail. It may be waitlisted, or have left"

    def _agreed(self, student: Student, row: int, kind: str) -> tuple[int | None, str]:
        """A row that one key leads to, unless the other keys belong to another student."""
        theirs = self.people[row]
        ours, found = _accounts(student), _accounts(theirs)
        if kind == "id" and ours and found and not ours & found:
            return None, (
                f"its id leads to the row of {theirs.label}, which has another login and e-mail"
            )
        return row, ""


def _accounts(student: Student) -> set[str]:
    """Logins and e-mails, and what stands before the @ of each."""
    whole = {student.login.casefold(), student.email.casefold()} - {""}
    return whole | {one.partition("@")[0] for one in whole}


def _by(
    people: dict[int, Student], keys: Callable[[Student], Iterable[str]]
) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row, student in people.items():
        for key in set(keys(student)) - {""}:
            found.setdefault(key, []).append(row)
    return found


def _value(text: str) -> Fraction | None:
    """A number in a gradebook, with a decimal point or comma."""
    found = re.fullmatch(r"-?\d+([.,]\d+)?", text)
    return Fraction(text.replace(",", ".")) if found else None


def _decimal_mark(table: Table, rows: Sequence[int], target: int) -> str:
    """The decimal mark of the file: of the column, else of all; a comma where ; separates."""
    everywhere = range(len(table.header))
    for columns in ((target,), everywhere):
        texts = [table.value(row, column) for row in rows for column in columns]
        for mark in ",.":
            if any(re.fullmatch(rf"-?\d+\{mark}\d+", text) for text in texts):
                return mark
    return "," if table.separator == ";" else "."
