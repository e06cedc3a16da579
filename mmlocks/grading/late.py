"""From the judge's points to the mark: adjustments by hand, then the late policy.

All numbers are exact fractions, and each step is a sentence that a student can be shown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from fractions import Fraction
from pathlib import Path

from mmlocks.errors import GradingError
from mmlocks.grading.result import Result
from mmlocks.grading.roster import Student, plain
from mmlocks.grading.tables import Table, read_table
from mmlocks.sentences import counted

DAY = 86_400
UNITS = {"m": 60, "h": 3_600, "d": DAY}
FORMS = "Forms: none; zero; 10%/day; with ,cap=50% and ,grace=15m (m, h or d) behind it."
TOTAL = "total"


@dataclass(frozen=True)
class Policy:
    """What is taken off a late submission: `per_day` of the points for each day that has begun.

    1 per day is `zero`. At most `cap` is taken. Within `grace` seconds nothing is; after them, the
    days count from the due time.
    """

    text: str = "none"
    per_day: Fraction = Fraction(0)
    cap: Fraction = Fraction(1)
    grace: int = 0

    def deduction(self, seconds: int) -> Fraction:
        """The part of the points that so many seconds cost, from 0 to 1."""
        if seconds <= self.grace:
            return Fraction(0)
        return min(self.cap, self.per_day * -(-seconds // DAY), Fraction(1))


def policy_of(text: str) -> Policy:
    """Read a policy: `none`, `zero,grace=15m`, `10%/day,cap=50%,grace=15m`. Raises GradingError."""
    first, *others = [part.strip() for part in text.casefold().split(",")]
    if first == "none" and not others:
        return Policy("none")
    per_day = Fraction(1) if first == "zero" else None
    if found := re.fullmatch(r"(\d+(?:\.\d+)?)\s*%\s*/\s*day", first):
        per_day = Fraction(found[1]) / 100
    if per_day is None or per_day > 1:
        raise GradingError(f"the late policy {text!r} cannot be read. {FORMS}")
    cap, grace = Fraction(1), 0
    for part in others:
        if (found := re.fullmatch(r"cap=(\d+(?:\.\d+)?)%", part)) and Fraction(found[1]) <= 100:
            cap = Fraction(found[1]) / 100
        elif part.startswith("grace=") and (length := _seconds(part.removeprefix("grace="))):
            grace = length
        else:
            raise GradingError(f"{part!r} in the late policy {text!r} cannot be read. {FORMS}")
    return Policy(text, per_day, cap, grace)


@dataclass(frozen=True)
class Extension:
    """What one student may have: another due time, or when the file really came; and the line."""

    student: str
    due: datetime | None
    longer: int
    submitted: datetime | None
    where: str


@dataclass(frozen=True)
class Adjustment:
    """Points that a person set for one check, or for the total, and why; and the line."""

    student: str
    check: str
    points: Fraction
    reason: str
    where: str


@dataclass(frozen=True)
class Mark:
    """The mark that counts, how each step led to it, and why a person should look at it."""

    points: Fraction
    steps: tuple[str, ...]
    eye: tuple[str, ...] = ()


def read_extensions(path: Path) -> tuple[Extension, ...]:
    """Read extensions: the columns student, and due (a time), longer (`48h`) or submitted (a time).

    `submitted` is for downloads that do not say when a file came. Raises GradingError.
    """
    table = read_table(path)
    student = _column(table, "student")
    due, longer, came = (_found(table, name) for name in ("due", "longer", "submitted"))
    if due is None and longer is None and came is None:
        raise GradingError(f"{table.name}, line 1: no column is called due, longer or submitted.")
    found: dict[str, Extension] = {}
    for row in _lines(table):
        who, where = table.value(row, student), table.where(row)
        length = table.value(row, longer)
        if length and not _seconds(length):
            raise GradingError(f"{where}: {length!r} is not a time such as 30m, 48h or 2d.")
        until, arrived = table.value(row, due), table.value(row, came)
        if not who or not (length or until or arrived):
            raise GradingError(f"{where}: the student or the extension is missing.")
        if who.casefold() in found:
            raise GradingError(f"{where}: {who} has another line, {found[who.casefold()].where}.")
        found[who.casefold()] = Extension(
            who,
            time_of(until, where) if until else None,
            _seconds(length) if length else 0,
            time_of(arrived, where) if arrived else None,
            where,
        )
    return tuple(found.values())


def read_adjustments(path: Path, checks: Sequence[str]) -> tuple[Adjustment, ...]:
    """Read adjustments: the columns student, check, points and reason.

    `check` names a check, or says total. `points` is what stands there afterwards; it is not added.
    No regrade writes this file. Raises GradingError, with file and line, where it is wrong.
    """
    table = read_table(path)
    columns = [_column(table, name) for name in ("student", "check", "points", "reason")]
    found: dict[tuple[str, str], Adjustment] = {}
    for row in _lines(table):
        who, check, points, reason = (table.value(row, column) for column in columns)
        where = table.where(row)
        if not who or not reason:
            raise GradingError(f"{where}: the student or the reason is missing.")
        if check.casefold() != TOTAL and check not in checks:
            raise GradingError(
                f"{where}: there is no check {check!r}. Write total, or one of {', '.join(checks)}."
            )
        key = who.casefold(), check.casefold()
        if key in found:
            raise GradingError(f"{where}: {who}, {check} has another line, {found[key].where}.")
        found[key] = Adjustment(who, check, number_of(points, where), reason, where)
    return tuple(found.values())


def mark_of(
    result: Result,
    policy: Policy,
    adjustments: Sequence[Adjustment] = (),
) -> Mark:
    """The mark of a result: the judge's points, then adjustments, then the late policy."""
    points = Fraction(result.points)
    steps = [f"The judge gave {amount(points)} of {counted(result.max_points, 'point')}."]
    given = {check.name: check.points for check in result.checks}
    mine = [each for each in adjustments if result.student.answers_to(each.student)]
    for each in sorted(mine, key=lambda each: each.check.casefold() == TOTAL):
        if each.check.casefold() == TOTAL:
            before, points = points, each.points
            what = "the total"
        else:
            before = Fraction(given.get(each.check, 0))
            points += each.points - before
            what = each.check
        steps.append(
            f"By hand, {what} was set from {amount(before)} to {amount(each.points)}: "
            f"{each.reason.rstrip('.')}. That makes {amount(points)}."
        )
    if points > result.max_points:
        steps.append(f"That is more than {counted(result.max_points, 'point')}.")
    late = result.submission.late_seconds
    if policy.per_day and late is None:
        eye = (
            "it was late, and it is not known how much. Nothing was taken off. Write when it came "
            "into the file of extensions."
        )
        return Mark(points, (*steps, f"Late policy: {eye}"), (eye,))
    if policy.per_day and late:
        part = policy.deduction(late)
        took = points * part
        points -= took
        days = counted(-(-late // DAY), "day")
        how = f"it was {span(late)} late, which is within the grace of {span(policy.grace)}"
        if late > policy.grace:
            cost = f"costs {amount(part * 100)}%"
            how = f"it was {span(late)} late, which counts as {days}, and {cost}"
        left = f"That takes {amount(took)} and leaves {amount(points)}."
        steps.append(f"Late policy {policy.text}: {how}. {left}")
    return Mark(points, tuple(steps))


def late_seconds(
    student: Student,
    submitted: datetime | None,
    said_late: bool | None,
    due: datetime | None,
    extensions: Sequence[Extension] = (),
) -> tuple[int | None, tuple[str, ...]]:
    """How late a submission is, and what that rests on. None: late, and not known how much.

    What the LMS says counts where the time is not known. An extension moves the due time.
    """
    said = []
    for each in extensions:
        if not student.answers_to(each.student):
            continue
        if each.submitted is not None:
            submitted = each.submitted
            said.append(f"It came at {submitted.isoformat(' ', 'minutes')} ({each.where}).")
        if each.due is not None:
            due = each.due
        if due is not None and (each.due is not None or each.longer):
            due += timedelta(seconds=each.longer)
            said.append(f"It was due at {due.isoformat(' ', 'minutes')} ({each.where}).")
    if submitted is not None and due is not None:
        return max(0, int((submitted - due).total_seconds())), tuple(said)
    if said_late and due is not None:
        return None, (*said, "The LMS says that it was late, and not how much.")
    return 0, tuple(said)


def strangers(
    lines: Sequence[Extension] | Sequence[Adjustment], students: Sequence[Student]
) -> tuple[str, ...]:
    """Sentences on the lines whose student handed in nothing: mostly a mistake in typing."""
    return tuple(
        f"{each.where}: {each.student!r} is the id, login or e-mail of no submission."
        for each in lines
        if not any(student.answers_to(each.student) for student in students)
    )


def time_of(text: str, where: str = "") -> datetime:
    """A time as ISO 8601: `2026-11-30T23:59+01:00`. Without a zone it is this machine's.

    A date alone means the end of that day. Raises GradingError.
    """
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            return datetime.combine(date.fromisoformat(text), time(23, 59, 59)).astimezone()
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise GradingError(
            f"{where}{': ' * bool(where)}{text!r} is not a time such as 2026-11-30T23:59 or "
            "2026-11-30."
        ) from None
    return found if found.tzinfo is not None else found.astimezone()


def number_of(text: str, where: str) -> Fraction:
    """A number of points, `7`, `7.5` or `7,5`. Raises GradingError."""
    if not re.fullmatch(r"\d{1,9}([.,]\d{1,9})?", text):
        raise GradingError(f"{where}: {text!r} is not a number of points such as 7 or 7.5.")
    return Fraction(text.replace(",", "."))


def amount(number: Fraction, mark: str = ".") -> str:
    """A number in at most two decimals, rounded half up: `7`, `7.5`, `6.67`."""
    hundredths = (abs(number) * 100 + Fraction(1, 2)).__floor__()
    whole, rest = divmod(hundredths, 100)
    text = f"{whole}{mark}{rest:02}".rstrip("0").rstrip(mark) if rest else str(whole)
    return f"-{text}" if number < 0 and hundredths else text


def span(seconds: int) -> str:
    """A length of time in its two largest units: `1 day 2 hours`."""
    days, rest = divmod(seconds, DAY)
    hours, rest = divmod(rest, 3_600)
    minutes, rest = divmod(rest, 60)
    units = ((days, "day"), (hours, "hour"), (minutes, "minute"), (rest, "second"))
    told = [counted(number, unit) for number, unit in units if number]
    return " ".join(told[:2]) or "0 seconds"


def _seconds(text: str) -> int:
    """`15m`, `48h` or `2d` in seconds; 0 if it is none."""
    found = re.fullmatch(r"(\d{1,6})\s*([mhd])", text.strip().casefold())
    return int(found[1]) * UNITS[found[2]] if found else 0


def _found(table: Table, name: str) -> int | None:
    titles = [plain(title) for title in table.header]
    return titles.index(name) if name in titles else None


def _column(table: Table, name: str) -> int:
    found = _found(table, name)
    if found is None:
        raise GradingError(
            f"{table.name}, line 1: no column is called {name}. Its columns are "
            f"{', '.join(filter(None, table.header))}."
        )
    return found


def _lines(table: Table) -> list[int]:
    """The rows in which something stands."""
    return [
        row
        for row in range(1, len(table.rows))
        if any(cell.text.strip() for cell in table.rows[row])
    ]
