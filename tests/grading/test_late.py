"""A mark is the judge's points, then what a person set, then the late policy; each step is said."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import pytest

from mmlocks.errors import GradingError
from mmlocks.grading.late import (
    amount,
    late_seconds,
    mark_of,
    policy_of,
    read_adjustments,
    read_extensions,
    span,
    strangers,
    time_of,
)
from mmlocks.grading.result import Checked, HandedIn, Result
from mmlocks.grading.roster import Student

DAY = 86_400
JANE = Student("12345", "jdoe", "jdoe@uni.edu", "Doe, Jane")
RIGHT = Result(
    "lab07",
    JANE,
    HandedIn("x.ipynb", "00" * 32),
    "none",
    "CORRECT",
    8,
    (Checked("safety", 5, 5, "CORRECT"), Checked("cost", 3, 3, "CORRECT")),
)
DUE = datetime(2026, 11, 30, 12, tzinfo=UTC)


def late(seconds: int | None) -> Result:
    return replace(RIGHT, submission=replace(RIGHT.submission, late_seconds=seconds))


@pytest.mark.parametrize(
    ("policy", "seconds", "left"),
    [
        ("none", 9 * DAY, "8"),
        ("zero", 0, "8"),
        ("zero", 1, "0"),
        ("zero,grace=15m", 900, "8"),
        ("zero,grace=15m", 901, "0"),
        ("10%/day", 1, "7.2"),
        ("10%/day", DAY, "7.2"),
        ("10%/day", DAY + 1, "6.4"),
        ("10%/day,cap=50%,grace=15m", 900, "8"),
        ("10%/day,cap=50%,grace=15m", 901, "7.2"),
        ("10%/day,cap=50%,grace=15m", 30 * DAY, "4"),
        ("10%/day", 30 * DAY, "0"),
        ("33.3% / day", 1, "5.34"),
    ],
)
def test_a_policy_takes_what_it_says(policy: str, seconds: int, left: str) -> None:
    mark = mark_of(late(seconds), policy_of(policy))
    assert amount(mark.points) == left
    assert ("Late policy" in mark.steps[-1]) == (policy != "none" and seconds > 0)


def test_marks_have_no_noise_of_floats() -> None:
    assert mark_of(late(3 * DAY), policy_of("10%/day")).points == Fraction(56, 10)


@pytest.mark.parametrize(
    "text", ["", "10%", "10/day", "zero,cap=150%", "110%/day", "none,grace=1h", "zero,grace=soon"]
)
def test_a_policy_that_cannot_be_read_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(GradingError, match="Forms: none; zero"):
        policy_of(text)


def test_adjustments_come_before_the_late_policy_and_each_step_is_said(tmp_path: Path) -> None:
    path = tmp_path / "adjust.csv"
    path.write_text("student;check;points;reason\nJDOE;cost;1,5;Talked in class.\n", "utf-8")
    found = read_adjustments(path, ("safety", "cost"))
    mark = mark_of(late(DAY), policy_of("10%/day"), found)
    assert mark.points == Fraction(65, 10) * Fraction(9, 10)
    assert mark.steps == (
        "The judge gave 8 of 8 points.",
        "By hand, cost was set from 3 to 1.5: Talked in class. That makes 6.5.",
        "Late policy 10%/day: it was 1 day late, which counts as 1 day, and costs 10%. "
        "That takes 0.65 and leaves 5.85.",
    )
    other = replace(RIGHT, student=Student("999"))
    assert mark_of(other, policy_of("none"), found).points == 8
    assert strangers(found, [JANE]) == ()
    assert "adjust.csv, line 2: 'JDOE'" in strangers(found, [other.student])[0]


def test_a_total_that_was_set_counts_over_the_checks(tmp_path: Path) -> None:
    path = tmp_path / "adjust.csv"
    path.write_text("student,check,points,reason\n12345,total,9,bonus\n12345,cost,0,x\n", "utf-8")
    mark = mark_of(RIGHT, policy_of("none"), read_adjustments(path, ("safety", "cost")))
    assert mark.points == 9
    assert mark.steps[-1] == "That is more than 8 points."


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a,safty,1,x", "there is no check 'safty'"),
        ("a,cost,,x", "'' is not a number of points"),
        ("a,cost,-1,x", "'-1' is not a number"),
        ("a,cost,1,", "the reason is missing"),
        ("a,cost,1,x\nA,cost,2,y", "line 3: A, cost has another line"),
    ],
)
def test_a_wrong_adjustment_names_its_line(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "adjust.csv"
    path.write_text(f"student,check,points,reason\n{line}\n", "utf-8")
    with pytest.raises(GradingError, match=words) as caught:
        read_adjustments(path, ("safety", "cost"))
    assert "adjust.csv, line" in str(caught.value)


def test_an_extension_moves_the_due_time_or_says_when_it_came(tmp_path: Path) -> None:
    path = tmp_path / "ext.csv"
    path.write_text(
        "student,due,longer,submitted\n"
        "12345,,48h,\n"
        "bob,2026-12-05T12:00+00:00,,\n"
        "eve,,,2026-11-30T13:00+00:00\n",
        "utf-8",
    )
    found = read_extensions(path)
    came = DUE + timedelta(days=3)
    assert late_seconds(JANE, came, None, DUE, found)[0] == DAY
    assert late_seconds(Student(login="bob"), came, None, DUE, found)[0] == 0
    assert late_seconds(Student(login="eve"), None, True, DUE, found)[0] == 3_600
    assert late_seconds(Student(login="joe"), came, None, DUE, found) == (3 * DAY, ())
    assert late_seconds(Student(login="joe"), came, None, None)[0] == 0


def test_lateness_of_unknown_length_takes_nothing_and_asks_for_a_person() -> None:
    seconds, said = late_seconds(JANE, None, True, DUE)
    assert seconds is None and "not how much" in said[0]
    mark = mark_of(late(seconds), policy_of("10%/day"))
    assert mark.points == 8 and "not known how much" in mark.eye[0]
    assert late_seconds(JANE, None, False, DUE) == (0, ())


def test_a_date_alone_is_the_end_of_that_day() -> None:
    assert (time_of("2026-11-30").hour, time_of("2026-11-30").second) == (23, 59)
    assert time_of("2026-11-30").tzinfo is not None
    with pytest.raises(GradingError, match="not a time such as"):
        time_of("30.11.2026")


def test_amounts_and_spans_are_read_by_people() -> None:
    texts = [amount(Fraction(n, d)) for n, d in ((20, 3), (15, 2), (7, 1), (1, 200), (0, 1))]
    assert texts == ["6.67", "7.5", "7", "0.01", "0"]
    assert (amount(Fraction(100)), amount(Fraction(15, 2), ",")) == ("100", "7,5")
    assert (span(90_000), span(61), span(0)) == ("1 day 1 hour", "1 minute 1 second", "0 seconds")
