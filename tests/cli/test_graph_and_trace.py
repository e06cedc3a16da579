"""`mmlocks graph`, and runs written to files: what is printed, what is written, and what is said when that is not possible."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import Result

from mmlocks.cli.graph import CHOICES, LINES

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
    reduced = json.loads(
        mmlocks("graph", "publish_early", "-r", "6.4.3", "--json", "--reduced").stdout
    )
    assert reduced["reduced"] and len(reduced["vertices"]) < len(every["vertices"])
    sizes = [
        len(
            json.loads(
                mmlocks("graph", "publish_early", "-r", "6.4.3", "--json", "--view", view).stdout
            )["vertices"]
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


@pytest.mark.parametrize(
    ("scenario", "view"),
    [("fork_lost_store", "chains"), ("stackrot", "all")],
    ids=["three_cpus", "two_cpus"],
)
def test_a_refusal_names_options_that_give_a_picture(
    mmlocks: Mmlocks, tmp_path: Path, scenario: str, view: str
) -> None:
    asked = ("graph", scenario, "-r", "6.4.0", "--svg", tmp_path / "graph.svg")
    said = mmlocks(*asked, "--view", view).stderr
    offered = re.findall(r"(--view \S+(?: --reduced)?) \((\d+) vert", said)
    assert len(offered) == CHOICES
    for options, vertices in offered:
        done = mmlocks(*asked, *options.split())
        assert done.exit_code == 0, options
        assert re.search(rf"\b{vertices} vertices\b", done.stdout)
    words = " ".join(mmlocks("graph", scenario, "-r", "6.4.0", "--view", view).stdout.split())
    assert words.endswith(said.removeprefix("mmlocks: ").rstrip()), "the same without a file"


def test_where_nothing_can_be_drawn_other_commands_are_named(
    mmlocks: Mmlocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmlocks.show.graph_layout.MOST", 0)
    done = mmlocks("graph", "fork_lost_store", "-r", "6.4.0", "--view", "open")
    assert (
        "The other views cannot be drawn either. To see all results: mmlocks endings fork_lost_store -r 6.4.0"
        in " ".join(done.stdout.split())
    )


def test_a_picture_and_data_at_once(mmlocks: Mmlocks, tmp_path: Path) -> None:
    """The picture is of what can be drawn, and the data are of all."""
    alone, beside = tmp_path / "alone.svg", tmp_path / "beside.svg"
    asked = ("graph", "fork_lost_store", "-r", "6.4.0")
    mmlocks(*asked, "--svg", alone)
    done = mmlocks(*asked, "--svg", beside, "--json")
    assert done.stdout == mmlocks(*asked, "--json").stdout
    assert beside.read_bytes() == alone.read_bytes()


def test_a_long_list_is_cut(mmlocks: Mmlocks) -> None:
    done = mmlocks("graph", "publish_early", "-r", "6.4.3")
    found = re.search(
        r"\.\.\. and (\d+) more of (\d+) vertices\. --json prints all, and --svg FILE draws them\.",
        " ".join(done.stdout.split()),
    )
    assert found is not None
    left, whole = map(int, found.groups())
    assert LINES - 20 < len(done.stdout.splitlines()) <= LINES + 10
    assert len(re.findall(r"(?m)^\d+  ", done.stdout)) == whole - left
    assert "more of" not in mmlocks("graph", "fork_lost_store", "-r", "6.4.0").stdout


@pytest.mark.parametrize("columns", [50, 80])
def test_nothing_is_wider_than_the_terminal(
    mmlocks: Mmlocks, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for words in (
        ["fork_lost_store"],
        ["stackrot", "--view", "all"],
        ["stackrot", "--view", "progress"],
    ):
        done = mmlocks("graph", *words, "-r", "6.4.0")
        assert max(map(len, done.stdout.splitlines())) <= columns, words


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
        (["graph", "fork_lost_store"], "name a kernel release"),
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
    assert (
        f"Trace written to {trace}" in shown and f"Trace for viewers written to {chrome}" in shown
    )
    written = json.loads(trace.read_text("utf-8"))
    assert (written["format"], written["schedule"], len(written["steps"])) == (
        "mmlocks trace",
        LOST_STORE,
        20,
    )
    assert {event["ph"] for event in json.loads(chrome.read_text("utf-8"))["traceEvents"]} == {
        "M",
        "X",
        "i",
    }
    assert sorted(file.name for file in tmp_path.iterdir()) == ["run.json", "viewer.json"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--trace", "a.json", "--chrome", "a.json"],
            "--trace and --chrome both name a.json. Each needs a file of its own.",
        ),
        (["--svg", "a", "--chrome", "./a"], "--svg and --chrome both name a."),
        (["--trace", "a.json", "--chrome", "nowhere/b.json"], "there is no folder "),
        (["--svg", "a.svg", "--trace", "folder"], "folder is a folder."),
        (
            ["--svg", "a.png"],
            "the name ends in .png, but the file would hold SVG. Choose a name that ends in .svg.",
        ),
        (
            ["--trace", "a.SVG"],
            "the name ends in .svg, but the file would hold JSON. Choose a name that ends in .json.",
        ),
    ],
    ids=lambda value: "_".join(value).replace("/", "_") if isinstance(value, list) else "",
)
def test_all_files_are_written_or_none(
    mmlocks: Mmlocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.json").write_text("older")
    done = mmlocks("replay", LOST_STORE, *options)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in " ".join(done.stderr.split())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "folder"]
    assert (tmp_path / "a.json").read_text() == "older"


def test_a_picture_of_a_graph_is_called_what_it_is(mmlocks: Mmlocks, tmp_path: Path) -> None:
    done = mmlocks("graph", "fork_lost_store", "-r", "6.4.0", "--svg", tmp_path / "x.png")
    assert done.exit_code == 2 and "ends in .svg" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["--trace", "--chrome"])
def test_what_cannot_be_written_is_said(mmlocks: Mmlocks, tmp_path: Path, option: str) -> None:
    done = mmlocks("replay", LOST_STORE, option, tmp_path / "nowhere" / "run.json")
    assert done.exit_code == 2 and "there is no folder" in done.stderr
    done = mmlocks("replay", LOST_STORE, option, tmp_path)
    assert done.exit_code == 2
    assert "Name a file in it for the trace." in " ".join(done.stderr.split())
    assert not list(tmp_path.iterdir())


def test_the_progress_of_two_cpus(mmlocks: Mmlocks, tmp_path: Path) -> None:
    file = tmp_path / "progress.svg"
    done = mmlocks("graph", "stackrot", "-r", "6.4.3", "--view", "progress", "--svg", file)
    assert done.exit_code == 0 and "# a wall: both would hold mmap_lock" in done.stdout
    assert ElementTree.parse(file).getroot().tag.endswith("svg")
    done = mmlocks("graph", "fork_lost_store", "-r", "6.4.3", "--view", "progress")
    assert done.exit_code == 2 and "takes two CPUs" in done.stderr
    assert (
        mmlocks("graph", "stackrot", "-r", "6.4.3", "--view", "progress", "--json").exit_code == 2
    )
