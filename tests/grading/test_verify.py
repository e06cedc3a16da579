"""The claim: a result's verdict can be searched again from its record, and a changed one shows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mmlocks.cli.app import app
from mmlocks.errors import GradingError
from mmlocks.grading import sandbox
from mmlocks.grading.batch import Job, Terms, judged
from mmlocks.grading.result import HandedIn, Result, write_result
from mmlocks.grading.roster import Student
from mmlocks.grading.verify import verify
from mmlocks.labs.lab import Finding
from tests.grading.answers import sources

LAB = "lab07_fork_vs_fault"
RIGHT, COSTLY, WRONG = "bank-Linux", "bank-LockAllFirst", "bank-LockAfterCopy"


@cache
def result_of(name: str, seconds: float | None = None) -> Result:
    content = sources()[name].encode()
    handed_in = HandedIn("a.py", hashlib.sha256(content).hexdigest())
    terms = Terms(LAB, seconds=seconds, verdict_only=True)
    return judged(Job(terms, Student("1", "jane"), handed_in, content, (), ())).result


def changed(name: str, change: Callable[[dict[str, Any]], object]) -> Result:
    result = result_of(name)
    record = json.loads(json.dumps(result.automaton))
    change(record)
    return replace(result, automaton=record)


@pytest.fixture
def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def no(*_: object, **__: object) -> None:
        raise AssertionError("a process of a student is started")

    def forbid() -> None:
        monkeypatch.setattr(sandbox, "_start", no)
        monkeypatch.setattr("subprocess.Popen", no)
        monkeypatch.setattr("mmlocks.labs.running.Session.run", no)

    return forbid


@pytest.mark.parametrize(
    ("name", "finding"), [(RIGHT, "CORRECT"), (COSTLY, "CORRECT BUT COSTLY"), (WRONG, "WRONG")]
)
def test_the_same_is_found_again_to_the_last_word_and_no_code_runs(
    name: str, finding: str, nothing_runs: Callable[[], None]
) -> None:
    result = result_of(name)
    nothing_runs()
    found = verify(result)
    assert (found.agrees, found.why, found.differences) == (True, "", ())
    assert (result.finding, found.points) == (finding, result.points)
    assert [(check.message, check.schedule) for check in found.checks] == [
        (check.message, check.schedule) for check in result.checks
    ]
    assert len(json.dumps(result.automaton, separators=(",", ":"))) < 16_000


def test_an_unproved_verdict_is_never_turned_into_a_proof() -> None:
    result = result_of(RIGHT, seconds=0.02)
    assert result.finding == "UNPROVED"
    found = verify(result)
    assert found.finding in (None, Finding.UNPROVED)
    assert found.agrees or "is not recorded" in found.why


def test_what_only_running_code_shows_is_not_decided() -> None:
    found = verify(result_of("D-told_while_fork_runs"))
    assert found.finding is None
    assert "no record can show" in found.why


def test_marks_that_were_changed_in_the_result_are_noticed() -> None:
    result = result_of(WRONG)
    checks = tuple(replace(one, points=one.max_points, finding="CORRECT") for one in result.checks)
    found = verify(replace(result, finding="CORRECT", checks=checks))
    assert found.finding is Finding.WRONG
    assert not found.agrees
    assert "points: 10 in the result, 0 now" in found.differences


def test_a_wrong_answers_record_in_a_right_ones_result_is_noticed() -> None:
    right = result_of(RIGHT)
    with pytest.raises(GradingError, match="another submission"):
        verify(replace(right, automaton=result_of(WRONG).automaton))
    text = right.submission.sha256
    forged = replace(right, automaton={**(result_of(WRONG).automaton or {}), "text": text})
    assert not verify(forged).agrees


def test_a_step_that_was_changed_in_the_record_is_noticed() -> None:
    def change(record: dict[str, Any]) -> None:
        for answer in record["answers"]:
            if answer[0] is not None and "flush" in json.dumps(answer[0]):
                answer[0] = {"step": "call", "args": ["vma_end_write_all", {"record": "mm"}]}

    forged = changed(RIGHT, change)
    assert forged.automaton != result_of(RIGHT).automaton
    assert not verify(forged).agrees


def test_a_question_that_is_not_recorded_is_named() -> None:
    found = verify(changed(RIGHT, lambda record: record["calls"].pop()))
    assert (found.finding, found.agrees) == (None, False)
    assert "not recorded: what dup_mmap(" in found.why


DAMAGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "an answer less": lambda record: record["answers"].pop(),
    "a value less": lambda record: record["values"].pop(),
    "an automaton less": lambda record: record["automata"].pop(),
    "a place less": lambda record: record["places"].clear(),
    "no nodes": lambda record: record["automata"][0].clear(),
    "half an edge": lambda record: record["automata"][0][0].append(0),
    "an edge to nowhere": lambda record: record["automata"][0][0].extend((0, 10**9)),
    "a negative node": lambda record: record["automata"][0][0].extend((0, -1)),
    "a node of one part": lambda record: record["automata"][0].__setitem__(0, [0]),
    "a key of another kind": lambda record: record["automata"][0][0].__setitem__(1, -3),
    "a huge key": lambda record: record["automata"][0][0].__setitem__(1, 1 << 99),
    "a short call": lambda record: record["calls"][0].pop(),
    "a call twice": lambda record: record["calls"].append(record["calls"][0]),
    "an answer of text": lambda record: record["answers"].__setitem__(0, "x"),
    "an error of another kind": lambda record: record["answers"].__setitem__(
        0, {"raised": ["SystemExit", "x"]}
    ),
    "no steps": lambda record: [answer.__setitem__(0, 7) for answer in record["answers"]],
    "places of another kind": lambda record: record["places"].__setitem__(0, [1, None, "x"]),
    "functions of another name": lambda record: record.update(fingerprints={"main": "0" * 8}),
    "no function": lambda record: record.update(fingerprints={}),
    "nothing": lambda record: record.clear(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_refused(damage: str) -> None:
    with pytest.raises(GradingError):
        verify(changed(WRONG, DAMAGES[damage]))


FORGERIES: dict[str, Callable[[dict[str, Any]], object]] = {
    "round and round": lambda record: [
        automaton[0].__setitem__(slice(2, None), [value, 0])
        for automaton in record["automata"]
        for value in range(1)
    ],
    "a handle that is not there": lambda record: [
        answer.__setitem__(0, {"step": "call", "args": ["flush_tlb_mm", {"record": "boo"}]})
        for answer in record["answers"]
    ],
    "nested deep": lambda record: [
        answer.__setitem__(0, {"step": "call", "args": ["x", deep(500)]})
        for answer in record["answers"]
    ],
    "a step that no answer may take": lambda record: [
        answer.__setitem__(0, {"step": "store", "args": [1, 2]}) for answer in record["answers"]
    ],
}


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"tuple": [value]}
    return value


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_record_never_agrees_crashes_or_hangs(forgery: str) -> None:
    try:
        found = verify(changed(RIGHT, FORGERIES[forgery]), wall=20)
    except GradingError:
        return
    assert not found.agrees
    assert "judge itself failed" not in found.why


def test_a_result_of_no_lab_and_one_without_a_record_are_refused() -> None:
    with pytest.raises(GradingError, match="lab that is not here"):
        verify(replace(result_of(WRONG), lab="lab99_nothing"))
    with pytest.raises(GradingError, match="nothing was judged"):
        verify(replace(result_of(WRONG), automaton=None))


def run(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    return done.exit_code, " ".join(done.output.split())


def test_the_command_says_whether_the_verdict_is_the_same(tmp_path: Path) -> None:
    path = write_result(tmp_path, result_of(WRONG))
    status, said = run("verify", path)
    assert status == 0
    assert "The verdict is the same as in the result." in said
    status, said = run("verify", path, "--json")
    shown = json.loads(said)
    assert (shown["agrees"], shown["points"], shown["finding"]) == (True, 0, "WRONG")
    raw = path.read_text()
    path.write_text(raw.replace('"finding": "WRONG"', '"finding": "CORRECT"'))
    status, said = run("verify", path)
    assert status == 1
    assert "finding: CORRECT in the result, WRONG now" in said
    path.write_text(raw[: len(raw) // 2])
    status, said = run("verify", path)
    assert status == 2
    assert "not a whole JSON file" in said
    assert run("verify", tmp_path / "none.json")[0] == 2
    unknown = changed(WRONG, lambda record: record["calls"].clear())
    status, said = run("verify", write_result(tmp_path, unknown))
    assert status == 3
    assert "not recorded" in said
