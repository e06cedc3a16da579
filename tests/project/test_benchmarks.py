"""The benchmarks read other tools' reports, fit laws, and keep a history: each can go wrong without anybody noticing."""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import comparison, frontrun, harmony, history, ours, spin, traces
from benchmarks.answers import first, shown
from benchmarks.growth import LAWS, best, fitted
from benchmarks.peer import Peer, Question, asked, last_words
from benchmarks.process import run
from mmlocks.machine import Layout, Machine
from mmlocks.scenarios import SCENARIOS
from mmlocks.search import Exhaustive
from mmlocks.search.dpor import Dpor
from mmlocks.search.verdict import Budget, Meter
from tests.search.families import indexer, lastzero, readers

# -- reports of other tools, as they printed them ---------------------------------------------------------------------

PAN_SAFE = """
(Spin Version 6.5.2 -- 6 December 2019)
	+ Partial Order Reduction

State-vector 68 byte, depth reached 76, errors: 0
    32744 states, stored
    36086 states, matched
    68830 transitions (= stored+matched)
        0 atomic steps

Stats on memory usage (in Megabytes):
    2.998	equivalent memory usage for states (stored*(State-vector + overhead))
  128.000	memory used for hash table (-w24)
  130.976	total actual memory usage
"""
PAN_VIOLATED = """pan:1: assertion violated (data[((2+_pid)-1)]==truth[((_pid-1)%2)]) (at depth 21)
pan: wrote fork_many.pml.trail

Warning: Search not completed
State-vector 68 byte, depth reached 46, errors: 1
     1294 states, stored
     2473 transitions (= stored+matched)
  128.730	total actual memory usage
"""
HARMONY_SAFE = """* Phase 2: run the model checker (nworkers = 2)
* Phase 3: Scan states
    * 47478 states (time 0.98s, mem=0.000GB, diameter=74)
    * 42661/142545 computations/edges
* Phase 4: Further analysis
    * **No issues found**
"""
HARMONY_VIOLATED = """* Phase 3: Scan states
    * 1998 states (time 0.14s, mem=0.000GB, diameter=23)
    * 922/5509 computations/edges
    * **Safety Violation**
"""
FRONTRUN_SAFE = '{"outcome": "safe", "violation": null, "executions": 9, "given_up": 1, "search_seconds": 0.001}\n'
FRONTRUN_VIOLATED = (
    "fork_many_frontrun.py:337: RuntimeWarning: coroutine 'forker' was never awaited\n"
    '{"outcome": "violated", "violation": "lost_store", "executions": 22947, "search_seconds": 4.7}\n'
    "RuntimeWarning: Enable tracemalloc to get the object allocation traceback\n"
)
LOST = "assertion violated (data[((2+_pid)-1)]==truth[((_pid-1)%2)]) (at depth 21)"
Reader = Callable[[str], dict[str, Any]]


@pytest.mark.parametrize(
    ("read", "report", "expected"),
    [
        (spin._read, PAN_SAFE, {"outcome": "safe", "violation": None, "states": 32744, "transitions": 68829, "reserved_mb": 130.976}),
        (spin._read, PAN_VIOLATED, {"outcome": "violated", "violation": LOST, "states": 1294, "transitions": 2472, "reserved_mb": 128.73}),
        (harmony._read, HARMONY_SAFE, {"outcome": "safe", "violation": None, "states": 47478, "transitions": 142545, "search_seconds": 0.98}),
        (harmony._read, HARMONY_VIOLATED, {"outcome": "violated", "violation": "Safety Violation", "states": 1998, "transitions": 5509, "search_seconds": 0.14}),
        (frontrun._read, FRONTRUN_SAFE, {"outcome": "safe", "violation": None, "executions": 9, "given_up": 1, "search_seconds": 0.001}),
        (frontrun._read, FRONTRUN_VIOLATED, {"outcome": "violated", "violation": "lost_store", "executions": 22947, "search_seconds": 4.7}),
    ],
    ids=["spin safe", "spin violated", "harmony safe", "harmony violated", "frontrun safe", "frontrun violated"],
)  # fmt: skip
def test_a_report_is_read(read: Reader, report: str, expected: dict[str, Any]) -> None:
    assert read(report) == expected


@pytest.mark.parametrize(
    "read", [spin._read, harmony._read, frontrun._read], ids=["spin", "harmony", "frontrun"]
)
@pytest.mark.parametrize(
    "report",
    ["", "Segmentation fault", "{not json", "[1]", PAN_SAFE[:120], HARMONY_SAFE[:120]],
    ids=["nothing", "crash", "half", "list", "cut pan", "cut harmony"],
)
def test_a_report_that_is_no_answer_is_a_failure(read: Reader, report: str) -> None:
    answer = read(report)
    assert answer["outcome"] == "failed"
    assert answer["said"]


def test_a_search_that_pan_cut_short_is_no_answer() -> None:
    report = "error: max search depth too small\n" + PAN_SAFE
    assert spin._read(report)["outcome"] == "failed"


def test_who_was_killed_probably_had_no_memory_left() -> None:
    assert "out of memory" in last_words("", -signal.SIGKILL)
    assert last_words("some words\n", 1) == "some words"
    assert last_words("", 3) == "ended with status 3 and said nothing"


# -- peers that go wrong ----------------------------------------------------------------------------------------------


class Odd:
    """A peer that answers, or raises, what it is given."""

    settings = "none"

    def __init__(
        self, name: str, answer: dict[str, Any] | Exception, absent: str | None = None
    ) -> None:
        self.name, self.answer, self.absent, self.asked = name, answer, absent, 0

    def missing(self) -> str | None:
        return self.absent

    def ask(self, question: Question, limit: float) -> dict[str, Any]:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return dict(self.answer)


@pytest.mark.parametrize(
    "problem", [FileNotFoundError("no such tool"), ValueError("1.2.3"), KeyError("wall")]
)
def test_a_peer_that_raises_has_failed(problem: Exception) -> None:
    answer = asked(Odd("odd", problem), Question(1, 2), 1.0)
    assert (answer["outcome"], answer["wall"]) == ("failed", None)
    assert type(problem).__name__ in answer["said"]


MINE = {"outcome": "safe", "wall": 0.2, "seconds": 0.1, "states": 947, "peak_mb": 19.0}


def beside(
    monkeypatch: pytest.MonkeyPatch, *tools: Peer, larger: dict[str, Any] = MINE
) -> list[dict[str, Any]]:
    """Two sizes of the comparison, with these peers, and with mmlocks's figures made up."""
    monkeypatch.setattr(comparison, "VARIANTS", ())
    monkeypatch.setattr(ours, "fork", lambda *size: dict(MINE))
    wanted = argparse.Namespace(limit=120.0, patience=20.0, times=50.0, repeats=2)
    sizes = [
        {"vmas": 1, "writers": 2, "reduced": MINE},
        {"vmas": 2, "writers": 3, "reduced": larger},
    ]
    return comparison.peers(sizes, list(tools), wanted)


def test_whatever_happens_to_a_peer_ends_in_a_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = beside(
        monkeypatch,
        Odd("good", {"outcome": "safe", "wall": 1.0, "search_seconds": 0.5, "states": 7}),
        Odd("raises", OSError("no such tool")),
        Odd("silent", {"outcome": "failed", "said": "killed, probably out of memory."}),
        Odd("slow", {"outcome": "unproved", "wall": None}),
        Odd("absent", {}, absent="not installed"),
    )
    of = {(row["tool"], row["vmas"]): row for row in rows}
    assert of["good", 1]["times_mmlocks"] == "5.0"
    assert of["raises", 1]["times_mmlocks"] == of["silent", 2]["times_mmlocks"] == "-"
    assert of["slow", 1]["times_mmlocks"] == "> 100.0"
    assert ("absent", 1) not in of
    printed = capsys.readouterr().out
    assert "OSError: no such tool" in printed
    assert "probably out of memory" in printed
    assert "> 20 s" in printed


def test_who_was_stopped_is_not_asked_at_larger_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Odd("slow", {"outcome": "unproved", "wall": None})
    rows = beside(monkeypatch, slow, larger={**MINE, "wall": 2.0})
    assert slow.asked == 1
    assert rows[-1]["said"] == "stopped at 1,2 already"
    # Known is that it takes more than the 20 s that it had at the smaller size; at this one it would have had 100.
    assert (rows[-1]["limit_seconds"], rows[-1]["times_mmlocks"]) == (20.0, "> 100.0")


def test_a_wrong_model_is_marked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(spin.Spin, "missing", lambda self: "not installed")
    found = comparison.validation([Odd("blind", {"outcome": "safe", "wall": 1.0})], 1.0)
    assert [row["outcome"] for row in found["outcomes"]] == ["safe", "safe"]
    assert capsys.readouterr().out.count("WRONG MODEL") == 1


def test_a_command_is_stopped_with_all_that_it_started() -> None:
    finished = run(["sh", "-c", "echo first; sleep 60 & wait"], 0.3)
    assert finished.timed_out
    assert finished.output == "first\n"
    assert finished.seconds < 30


def test_a_command_is_told_by_its_status_and_weighed() -> None:
    finished = run(
        [
            sys.executable,
            "-c",
            "held = bytearray(b'x') * 200_000_000; print('held'); raise SystemExit(3)",
        ],
        60.0,
    )
    assert (finished.status, finished.output, finished.timed_out) == (3, "held\n", False)
    assert finished.peak_mb > 190


@pytest.mark.parametrize("explore", [False, True], ids=["engine", "explore"])
def test_frontrun_searches_its_model(explore: bool) -> None:
    pytest.importorskip("frontrun", reason="installed by make bench")
    answer = frontrun.Frontrun(explore).ask(Question(1, 1), 60.0)
    assert (answer["outcome"], answer["executions"]) == ("safe", 9)


# -- laws -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("law", "constant", "rate"),
    [("exponential", 3.0, math.log(27)), ("power", 5.0, 2.5), ("linear", 384.0, 28.0)],
)
def test_a_law_is_found_again(law: str, constant: float, rate: float) -> None:
    points = [(float(x), LAWS[law].value(constant, rate, x)) for x in range(2, 8)]
    chosen = best(points)
    assert chosen is not None
    assert chosen.law == law
    assert (chosen.constant, chosen.rate, chosen.r2) == pytest.approx((constant, rate, 1.0))
    assert chosen.at(9.0) == pytest.approx(LAWS[law].value(constant, rate, 9.0))


def test_r2_says_how_much_is_explained() -> None:
    # ln y is 0, 1, 2, 4: the line of least squares has slope 1.3 and misses by 0.2, 0.1, 0.4, 0.3; R^2 = 1 - 0.3 / 8.75.
    points = [(float(x), math.exp(y)) for x, y in enumerate((0, 1, 2, 4))]
    fit = fitted("exponential", points)
    assert fit is not None
    assert fit.rate == pytest.approx(1.3)
    assert fit.r2 == pytest.approx(1 - 0.3 / 8.75)


@pytest.mark.parametrize(
    "points", [[], [(1.0, 2.0), (2.0, 4.0)], [(1.0, 1.0)] * 3, [(1.0, 0.0), (2.0, 1.0), (3.0, 2.0)]]
)
def test_what_no_law_fits_has_none(points: list[tuple[float, float]]) -> None:
    assert best(points) is None


# -- executions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("machine", "expected"),
    [(lambda: readers(8), 256), (lambda: lastzero(5), 64), (lambda: indexer(3), 1)],
    ids=["readers(8)", "lastzero(5)", "indexer(3)"],
)
def test_executions_are_counted_as_published(machine: Callable[[], Machine], expected: int) -> None:
    assert traces.traces(machine(), 60.0) == expected


@pytest.mark.parametrize("program", ["1,1", "2,2", "stackrot", "publish_early"])
def test_two_ways_of_counting_executions_agree(program: str) -> None:
    machine = traces._machine(program)
    Exhaustive().explore(machine, Meter(Budget()))
    declared = traces.traces(machine, 30.0, declared=True)
    assert declared == Dpor().explore(traces._machine(program), Meter(Budget())).executions
    really = traces.traces(machine, 30.0)
    assert really <= declared <= traces.interleavings(machine, 30.0)
    assert really <= traces.followed(machine, 30.0) <= traces.interleavings(machine, 30.0)


def test_interleavings_are_counted() -> None:
    layout = Layout(2)
    cells = [layout.cell(f"c{cpu}", 0) for cpu in range(2)]

    async def three(cpu: int) -> None:
        for value in range(1, 4):
            await cells[cpu].set(value)

    machine = Machine(layout, [(f"t{cpu}", lambda cpu=cpu: three(cpu)) for cpu in range(2)])  # type: ignore[misc]
    assert traces.interleavings(machine, 5.0) == math.comb(6, 3)
    assert traces.traces(machine, 5.0) == 1


def test_a_loop_has_no_number_of_executions() -> None:
    layout = Layout(2)
    go = layout.cell("go", 0)

    async def spin_until() -> None:
        while not await go:
            pass

    async def let_go() -> None:
        await go.set(1)

    machine = Machine(layout, [("spins", spin_until), ("lets go", let_go)])
    with pytest.raises(traces.Uncounted, match="loop"):
        traces.interleavings(machine, 5.0)


# -- the bug ----------------------------------------------------------------------------------------------------------


def test_a_violation_is_found_and_shown() -> None:
    scenario = SCENARIOS["fork_lost_store"]
    assert first(scenario, "6.4.0")["violation"] == "lost_store"
    row = shown(scenario, "6.4.0")
    assert (row["violation"], row["steps"], row["preemptions"], row["minimal"]) == (
        "lost_store",
        20,
        2,
        True,
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_several_processes_search_the_same(workers: int) -> None:
    found = ours.parallel((2, 3), False, workers, 60.0)
    assert (found["outcome"], found["states"], found["transitions"]) == ("safe", 50_641, 146_072)


# -- the history ------------------------------------------------------------------------------------------------------

RUN: dict[str, Any] = {
    "machine": {"date": "2026-11-23", "cpu": "a processor", "commit": "41ee1eb"},
    "reference_seconds": 0.25,
    "sizes": {"1,2": {"wall": 0.5, "wall_in_references": 2.0, "states": 947, "mb": 1.9}},
}
LATER = {**RUN, "machine": {**RUN["machine"], "date": "2026-11-24"}}


def test_runs_are_appended_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    assert history.last(path) is None
    history.record(RUN, path)
    history.record(LATER, path)
    assert [json.loads(line) for line in path.read_text().splitlines()] == [RUN, LATER]
    assert history.last(path) == LATER
    assert [file.name for file in tmp_path.iterdir()] == ["history.jsonl"]


FAILING: dict[str, tuple[Any, str]] = {
    "the disk is full": (os, "fsync"),
    "the folder is read-only": (tempfile, "NamedTemporaryFile"),
    "it cannot be put in its place": (Path, "replace"),
}


@pytest.mark.parametrize("way", FAILING)
def test_a_run_is_recorded_whole_or_not_at_all(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "history.jsonl"
    history.record(RUN, path)
    before = path.read_bytes()

    def fails(*arguments: Any, **options: Any) -> None:
        raise OSError(28, way)

    monkeypatch.setattr(*FAILING[way], fails)
    with pytest.raises(history.HistoryError, match=way):
        history.record(LATER, path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["history.jsonl"]


def test_what_is_no_json_is_not_recorded(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    history.record(RUN, path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="JSON compliant"):
        history.record({**RUN, "reference_seconds": math.nan}, path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "line", ['{"machine":', "[]", '{"sizes": {}}'], ids=["half", "list", "lacking"]
)
def test_a_broken_history_is_named_and_left_alone(line: str, tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(json.dumps(RUN) + "\n" + line + "\n")
    with pytest.raises(history.HistoryError, match=r"history\.jsonl, line 2,"):
        history.record(LATER, path)
    assert path.read_text().endswith(line + "\n")


def test_a_last_line_without_an_end_does_not_swallow_the_next(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(json.dumps(RUN))
    history.record(LATER, path)
    assert [json.loads(line) for line in path.read_text().splitlines()] == [RUN, LATER]


def test_runs_are_compared_in_references(capsys: pytest.CaptureFixture[str]) -> None:
    # Twice as many seconds on a machine that takes four times as long: half the time.
    sizes = {
        "1,2": {"wall": 1.0, "wall_in_references": 1.0, "states": 947, "mb": 1.9},
        "9,9": {"wall": None},
    }
    history.compared({**LATER, "reference_seconds": 1.0, "sizes": sizes}, RUN)
    row = capsys.readouterr().out.splitlines()[-1].split()
    assert row == ["1,2", "1.00", "2.00", "0.50", "947", "947", "1.00"]


def test_the_recorded_runs_can_be_read() -> None:
    if history.HISTORY.exists():
        assert history.last() is not None


def test_the_newest_results_have_every_section() -> None:
    results = json.loads(
        (Path(history.__file__).with_name("results.json")).read_text(encoding="utf-8")
    )
    sections = {
        "machine",
        "imports_ms",
        "scenarios",
        "vma_tree",
        "fork_many",
        "validation",
        "peers",
    }
    assert sections <= results.keys()
