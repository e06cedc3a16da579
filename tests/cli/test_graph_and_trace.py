"""`mmlocks graph`, and runs written to files: what is printed, what is written, and what is said when that is not possible."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import Result

Mmlocks = Callable[..., Result]
LOST_STORE = "mml1:fork_lost_store:6.4.0:0x6.2x10.1x2.2x2:dcc209c4"


def test_a_graph_in_words(mmlocks: Mmlocks) -> None:
    done = mmlocks("graph", "fork_lost_store", "--release", "6.4.0")
    assert done.exit_code == 0
    text = " ".join(done.stdout.split())
    assert text.startswith("fork_lost_store on 6.4.0: A completed store vanishes")
    assert "In 18 vertices the outcome is open" in text
    assert "-> 1 cpu0: takes mmap_lock for writing" in text
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_graph_as_data(mmlocks: Mmlocks) -> None:
    every = json.loads(mmlocks("graph", "publish_early", "-r", "6.4.3", "--json").stdout)
    assert every["format"] == "mmlocks state graph" and every["whole"]
    assert (every["scenario"], every["release"]) == ("publish_early", "6.4.3")
    reduced = json.loads(mmlocks("graph", "publish_early", "-r", "6.4.3", "--json", "--reduced").stdout)
    assert reduced["reduced"] and len(reduced["vertices"]) < len(every["vertices"])
    sizes = [
        len(
            json.loads(mmlocks("graph", "publish_early", "-r", "6.4.3", "--json", "--view", view).stdout)[
                "vertices"
            ]
        )
        for view in ("all", "chains", "open")
    ]
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == 3


def test_a_graph_as_a_picture(mmlocks: Mmlocks, tmp_path: Path) -> None:
    file = tmp_path / "graph.svg"
    done = mmlocks("graph", "fork_lost_store", "-r", "6.4.0", "--svg", file)
    assert done.exit_code == 0 and f"Picture written to {file}" in done.stdout.replace("\n", "")
    assert ElementTree.parse(file).getroot().tag.endswith("svg")
    assert "left out by the reduction" not in file.read_text("utf-8")
    mmlocks("graph", "fork_lost_store", "-r", "6.4.0", "--svg", file, "--show-reduction")
    assert "left out by the reduction" in file.read_text("utf-8")


def test_a_graph_that_is_too_large_is_no_picture(mmlocks: Mmlocks, tmp_path: Path) -> None:
    file = tmp_path / "graph.svg"
    done = mmlocks("graph", "fork_lost_store", "-r", "6.4.0", "--view", "all", "--svg", file)
    assert done.exit_code == 2 and not file.exists()
    assert "beyond 150 a drawing is a hairball" in " ".join(done.stderr.split())


def test_half_a_graph_is_not_called_whole(mmlocks: Mmlocks) -> None:
    done = mmlocks("graph", "young_reproducer", "-r", "6.4.0", "--states", 300)
    assert done.exit_code == 3
    assert "Not whole: budget of 300 states reached" in " ".join(done.stdout.split())
    assert not json.loads(
        mmlocks("graph", "young_reproducer", "-r", "6.4.0", "--states", 300, "--json").stdout
    )["whole"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["graph", "fork_lost_store"], "say of which kernel release"),
        (["graph", "fork_lost_stor", "-r", "6.4.0"], "Did you mean fork_lost_store?"),
        (["graph", "fork_lost_store", "-r", "6.4"], "Did you mean"),
        (["graph", "fork_lost_store", "-r", "6.4.0", "--view", "nice"], "'nice' is not one of"),
    ],
    ids=["no_release", "no_such_scenario", "no_such_release", "no_such_view"],
)
def test_what_is_typed_badly(mmlocks: Mmlocks, words: list[str], says: str) -> None:
    done = mmlocks(*words)
    assert done.exit_code == 2
    assert says in " ".join(done.stderr.split())


def test_a_replayed_run_is_written_for_other_programs(mmlocks: Mmlocks, tmp_path: Path) -> None:
    trace, chrome = tmp_path / "run.json", tmp_path / "viewer.json"
    trace.write_text("something older", encoding="utf-8")
    done = mmlocks("replay", LOST_STORE, "--trace", trace, "--chrome", chrome)
    assert done.exit_code == 1, "the run breaks a rule"
    shown = done.stdout.replace("\n", "")
    assert f"Trace written to {trace}" in shown and f"Trace for viewers written to {chrome}" in shown
    written = json.loads(trace.read_text("utf-8"))
    assert (written["format"], written["schedule"], len(written["steps"])) == (
        "mmlocks trace",
        LOST_STORE,
        20,
    )
    assert {event["ph"] for event in json.loads(chrome.read_text("utf-8"))["traceEvents"]} == {"M", "X", "i"}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["run.json", "viewer.json"]


@pytest.mark.parametrize("option", ["--trace", "--chrome"])
def test_what_cannot_be_written_is_said(mmlocks: Mmlocks, tmp_path: Path, option: str) -> None:
    done = mmlocks("replay", LOST_STORE, option, tmp_path / "nowhere" / "run.json")
    assert done.exit_code == 2 and "there is no folder" in done.stderr
    done = mmlocks("replay", LOST_STORE, option, tmp_path)
    assert done.exit_code == 2
    assert "Name the file in it that the trace is to be written to." in " ".join(done.stderr.split())
    assert not list(tmp_path.iterdir())


def test_the_progress_of_two_cpus(mmlocks: Mmlocks, tmp_path: Path) -> None:
    file = tmp_path / "progress.svg"
    done = mmlocks("graph", "stackrot", "-r", "6.4.3", "--view", "progress", "--svg", file)
    assert done.exit_code == 0 and "# a wall: both would hold mmap_lock" in done.stdout
    assert ElementTree.parse(file).getroot().tag.endswith("svg")
    done = mmlocks("graph", "fork_lost_store", "-r", "6.4.3", "--view", "progress")
    assert done.exit_code == 2 and "takes two CPUs" in done.stderr
    assert mmlocks("graph", "stackrot", "-r", "6.4.3", "--view", "progress", "--json").exit_code == 2
