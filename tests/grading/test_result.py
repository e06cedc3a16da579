"""A result is written whole or not at all, the same bytes each time, and read only if sound."""

import json
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mmlocks.errors import GradingError
from mmlocks.grading import result as module
from mmlocks.grading.result import (
    Checked,
    HandedIn,
    Result,
    finished,
    key_of,
    read_result,
    result_file,
    results_in,
    schema,
    write_result,
)
from mmlocks.grading.roster import Student
from mmlocks.grading.schema import offences

JANE = Student("12345", "jdoe", "jdoe@uni.edu", "Doe, Jäne \udcff", ("s99",))
RECORD = {
    "text": "ab" * 32,
    "judged": "replaced: dup_mmap.",
    "fingerprints": {"dup_mmap": "0123abcd"},
    "unsteady": [],
    "values": [0],
    "places": [["dup_mmap", "a.py", 3]],
    "answers": [[{"step": "flush_tlb", "args": []}, [0], "", None, ""]],
    "automata": [[[0, None, 0, 0]]],
    "calls": [["stackrot", 0, "dup_mmap", [], {}, 0]],
}
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
RESULT = Result(
    lab="lab07_fork_vs_fault",
    student=JANE,
    submission=HandedIn("lab07.ipynb", "ab" * 32, "2026-11-29T23:00:00+01:00", 2, 90_000),
    isolation="bubblewrap",
    finding="WRONG",
    max_points=8,
    checks=(
        Checked("safety", 0, 5, "WRONG", "cpu1 loses a store.", "fork_lost_store", "k", "s"),
        Checked("cost", 2, 3, "CORRECT BUT COSTLY"),
    ),
    judged="dup_mmap",
    behaves_like="locks_late",
    eye=("nbval disagrees.",),
    automaton=RECORD,
    hints=(1,),
    nbval={"points": 8, "agrees": False},
)


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = write_result(tmp_path, RESULT, NOW)
    assert read_result(path) == RESULT
    assert [each.points for each in results_in(tmp_path)] == [2]
    assert list(tmp_path.iterdir()) == [path]


def test_only_the_time_of_writing_differs_between_two_runs(tmp_path: Path) -> None:
    first = write_result(tmp_path / "a", RESULT, NOW).read_bytes()
    second = write_result(tmp_path / "b", RESULT, NOW).read_bytes()
    third = write_result(tmp_path / "c", RESULT).read_bytes()
    assert first == second != third
    one, two = json.loads(first), json.loads(third)
    assert list(one) == sorted(one)
    assert {name for name in one if one[name] != two[name]} == {"graded"}


def test_a_crash_while_writing_leaves_the_old_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = write_result(tmp_path, RESULT, NOW).read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(GradingError, match="No space left"):
        write_result(tmp_path, RESULT)
    monkeypatch.undo()
    assert result_file(tmp_path, JANE).read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_a_finished_submission_is_known_by_bytes_lab_and_release(tmp_path: Path) -> None:
    write_result(tmp_path, RESULT, NOW)
    assert finished(tmp_path, JANE, "ab" * 32, RESULT.lab) == RESULT
    assert finished(tmp_path, JANE, "cd" * 32, RESULT.lab) is None
    assert finished(tmp_path, JANE, "ab" * 32, "lab02") is None
    assert finished(tmp_path, Student("1"), "ab" * 32, RESULT.lab) is None
    assert key_of("a", "b", "1") != key_of("a", "b", "2")
    path = result_file(tmp_path, JANE)
    path.write_bytes(path.read_bytes()[:-40])  # cut off, as by a full disk of another tool
    assert finished(tmp_path, JANE, "ab" * 32, RESULT.lab) is None


def test_students_whose_names_look_alike_have_files_of_their_own(tmp_path: Path) -> None:
    files = {
        result_file(tmp_path, Student(id=one)).name for one in ("a/b", "a-b", "../a-b", "A-b", "ä")
    }
    assert len(files) == 5
    assert all("/" not in name and not name.startswith(".") for name in files)


def broken() -> list[Any]:
    """A sound value, then values that break the schema in one place each."""
    value = RESULT.as_json() | {"graded": NOW.isoformat()}
    changes: list[tuple[list[str | int], Any]] = [
        (["version"], 2),
        (["version"], True),
        (["format"], "other"),
        (["points"], "2"),
        (["points"], -1),
        (["points"], True),
        (["finding"], "GOOD"),
        (["isolation"], "docker"),
        (["key"], "xyz"),
        (["student", "id"], None),
        (["student", "others"], [1]),
        (["student", "age"], 3),
        (["submission", "attempt"], 0),
        (["submission", "late_seconds"], -1),
        (["submission", "late_seconds"], None),
        (["submission", "sha256"], ""),
        (["checks", 0, "finding"], "?"),
        (["checks", 0, "message"], None),
        (["checks", 1, "more"], 1),
        (["eye"], "text"),
        (["automaton"], None),
        (["automaton"], []),
        (["automaton", "text"], 1),
        (["automaton", "more"], 1),
        (["automaton", "automata", 0, 0], ["0"]),
        (["automaton", "calls", 0], {}),
        (["nbval"], None),
        (["nbval", "agrees"], 1),
    ]
    found: list[Any] = [value, None, [], "text", 3]
    for path, new in changes:
        other: Any = deepcopy(value)
        inner: Any = other
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = new
        found.append(other)
    return found + [{key: value[key] for key in value if key != name} for name in value]


def test_the_published_schema_is_sound_and_accepts_a_result() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(broken()[0], schema())


@pytest.mark.parametrize("value", broken())
def test_our_reader_of_schemas_agrees_with_a_full_one(value: Any) -> None:
    full = jsonschema.Draft202012Validator(schema()).is_valid(value)
    assert (not list(offences(value, schema(), schema()))) == full


def test_a_result_whose_points_were_changed_by_hand_is_refused(tmp_path: Path) -> None:
    path = write_result(tmp_path, RESULT, NOW)
    for old, new in (
        ('\n "points": 2', '\n "points": 8'),
        ('"points": 2', '"points": 8'),  # in the check as well, which has 3 points
        ('"version": 1', '"version": 9'),
    ):
        text = path.read_text("utf-8")
        assert old in text
        other = tmp_path / "other.json"
        other.write_text(text.replace(old, new), "utf-8")
        with pytest.raises(GradingError, match=r"other\.json"):
            read_result(other)
