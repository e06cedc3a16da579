"""What is written for a class is what its readers expect, also of hostile texts."""

import csv
import io
import json
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mmlocks.errors import GradingError
from mmlocks.grading.formats import (
    Graded,
    bare,
    grades_csv,
    gradescope,
    junit_xml,
    nbgrader_csv,
    read_grades,
    safe,
)
from mmlocks.grading.late import Mark, mark_of, policy_of
from mmlocks.grading.result import NOT_JUDGED, Checked, HandedIn, Result, write_result
from mmlocks.grading.roster import Student

EVIL = '=HYPERLINK("http://x")'
HALF = Result(
    "lab07_fork_vs_fault",
    Student("1", "jd", "j@x", EVIL, ("s99", "@2")),
    HandedIn("x.ipynb", "00" * 32, "2026-11-30T12:00:00+00:00", 1, 3_600),
    "bubblewrap",
    "WRONG",
    8,
    (Checked("safety", 5, 5, "CORRECT"), Checked("cost", 0, 3, "WRONG", "bell \a < & \udc80")),
)
BAD = Result(
    "lab07_fork_vs_fault",
    Student("2"),
    HandedIn("", ""),
    "none",
    NOT_JUDGED,
    8,
    eye=("It is empty.",),
)
GRADED = [
    Graded(HALF, mark_of(HALF, policy_of("10%/day"))),
    Graded(BAD, mark_of(BAD, policy_of("none"))),
]
ABSENT = Student("3", name="Nobody, Ned")


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def test_grades_have_a_column_for_each_check_and_say_how_the_mark_came() -> None:
    one, two, three = rows(grades_csv(GRADED, [ABSENT]))
    assert (one["safety"], one["cost"], one["points"], one["mark"]) == ("5", "0", "5", "4.5")
    assert "costs 10%" in one["how"]
    assert (two["finding"], two["mark"], two["eye"]) == (NOT_JUDGED, "0", "It is empty.")
    assert (three["finding"], three["mark"], three["max_points"]) == ("NOT HANDED IN", "", "8")


def test_no_cell_of_ours_is_a_formula_and_reading_gives_the_name_back(tmp_path: Path) -> None:
    content = grades_csv(GRADED, [ABSENT])
    for row in rows(content):
        assert not [text for text in row.values() if text.strip()[:1] in "=+-@" and text]
    (tmp_path / "grades.csv").write_bytes(content)
    found = read_grades(tmp_path)
    assert found.lines[0].student == HALF.student
    assert [line.mark for line in found.lines] == [Fraction(9, 2), 0, None]
    assert (found.lab, found.max_points) == ("lab07_fork_vs_fault", 8)


@pytest.mark.parametrize("text", ["=1", "'=1", "''=1", "+1", "-x", "@a", "\t=1", " =1", "'a", "a"])
def test_bare_undoes_safe(text: str) -> None:
    assert bare(safe(text)) == text


def test_results_without_grades_csv_are_read_and_that_is_said(tmp_path: Path) -> None:
    for graded in GRADED:
        write_result(tmp_path, graded.result)
    found = read_grades(tmp_path)
    assert sorted(line.mark or 0 for line in found.lines) == [0, 5]
    assert "without adjustments" in found.notes[0]
    (tmp_path / "none").mkdir()
    with pytest.raises(GradingError, match="holds no marks"):
        read_grades(tmp_path / "none")


def test_junit_counts_failures_and_errors_and_is_xml_whatever_a_message_holds() -> None:
    root = ElementTree.fromstring(junit_xml(GRADED))
    first, second = root
    assert (first.get("tests"), first.get("failures"), first.get("errors")) == ("2", "1", "0")
    assert (second.get("failures"), second.get("errors")) == ("0", "1")
    failure = first.find("testcase/failure")
    assert failure is not None and failure.text == "bell \ufffd < & \ufffd"


def test_gradescope_gets_the_mark_and_a_test_for_each_check() -> None:
    value = json.loads(gradescope(GRADED[0]))
    assert value["score"] == 4.5
    assert [(each["score"], each["max_score"], each["status"]) for each in value["tests"]] == [
        (5, 5, "passed"),
        (0, 3, "failed"),
    ]
    # Names of fields in Gradescope's documentation.
    known = {"score", "output", "output_format", "stdout_visibility", "tests", "extra_data"}
    assert set(value) == known
    assert "It is empty." in json.loads(gradescope(GRADED[1]))["output"]


def test_nbgraders_columns_add_up() -> None:
    head = (
        "assignment,duedate,timestamp,student_id,last_name,first_name,email,raw_score,"
        "late_submission_penalty,score,max_score"
    )
    content = nbgrader_csv(GRADED, datetime(2026, 11, 30, 11, tzinfo=UTC), [ABSENT])
    assert content.decode().splitlines()[0] == head
    one, _, three = rows(content)
    assert (one["raw_score"], one["late_submission_penalty"], one["score"]) == ("5.0", "0.5", "4.5")
    assert (three["last_name"], three["first_name"], three["score"]) == ("Nobody", "Ned", "0.0")


def test_a_mark_that_was_raised_by_hand_has_no_penalty_for_nbgrader() -> None:
    (one,) = rows(nbgrader_csv([Graded(HALF, Mark(Fraction(7), ()))]))
    assert (one["raw_score"], one["late_submission_penalty"], one["score"]) == ("7.0", "0.0", "7.0")
