"""The worst that a user could type: one clear line on stderr, exit status 2, nothing on stdout, no traceback."""

import os
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from mmlocks.cli import answers as reading

Mmlocks = Callable[..., Result]
LOST_STORE = "mml1:fork_lost_store:6.4.0:0x6.2x10.1x2.2x2:dcc209c4"


def summed(body: str) -> str:
    """A schedule text with the right checksum, whatever it says."""
    return f"{body}:{zlib.crc32(body.encode()):08x}"


def complaint(done: Result) -> str:
    """The one line that was said about bad usage."""
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("mmlocks")
    assert "Traceback" not in lines[0]
    return lines[0]


BAD = [
    (["dmo"], "Did you mean 'demo'?"),
    (
        ["host", "rulez"],
        "mmlocks host: No such command 'rulez'. Did you mean 'rules'? See mmlocks host --help",
    ),
    (["--frobnicate"], "No such option '--frobnicate'. See mmlocks --help"),
    (
        ["run", "--jsn"],
        "No such option '--jsn'. Did you mean '--jobs' or '--json'? See mmlocks run --help",
    ),
    (["demo", "\x1b[31m"], "Got unexpected extra argument (\\x1b[31m). See mmlocks demo --help"),
    (["demo", "extra"], "unexpected extra argument"),
    (["run"], "Missing argument 'SCENARIO'"),
    (["run", "fork_lost_store"], "--release R, where R is one of 6.1, 6.3, 6.4.0, 6.4.1, "),
    (["run", "fork_lost_store", "-r"], "requires an argument"),
    (["run", "fork_lost_store", "-r", ""], "--release R"),
    (["run", "fork_lost_store", "-r", " "], "--release is empty"),
    (
        ["run", "fork_lost_store", "-r", "6.3", "-r", "6.4.0"],
        "2 were given. For several: mmlocks releases -r 6.3 -r 6.4.0",
    ),
    (["graph", "fork_lost_store", "-r", "6.3", "-r", "6.4.0"], "--release takes one release here"),
    (
        ["endings", "fork_lost_store", "-r", "6.3", "-r", "6.4.0"],
        "--release takes one release here",
    ),
    (["run", "fork_lots_store", "-r", "6.4.0"], "Did you mean fork_lost_store?"),
    (["run", "\x1b[31m\x00é\n", "-r", "6.4.0"], "there is no scenario called '\\x1b[31m\\x00é\\n'"),
    (["run", "fork_lost_store", "-r", "6.4"], "Did you mean 6.4.0, 6.4.1, 6.4.3, 6.4.8 or 6.4.10?"),
    (
        ["run", "fork_lost_store", "-r", "5.15"],
        "Known releases: 6.1, 6.3, 6.4.0, 6.4.1, 6.4.3, 6.4.8, 6.4.10, 6.6-like, prewalk, disabled, reverted, speculative.",
    ),
    (
        ["run", "fork_lost_store", "-r", "6.4.0+fork_lock_vmas"],
        "there is no patch called 'fork_lock_vmas'",
    ),
    (
        ["run", "fork_lost_store", "-r", "6.4.0", "--with", "fork_lock_vmas"],
        "Did you mean fork_locks_vmas?",
    ),
    (
        [
            "run",
            "fork_lost_store",
            "-r",
            "6.4.0",
            "--with",
            "per_vma_locks",
            "--without",
            "per_vma_locks",
        ],
        "contradict",
    ),
    (["run", "fork_lost_store", "-r", "6.4.3", "--states", "-5"], "--states"),
    (["run", "fork_lost_store", "-r", "6.4.3", "--states", "0"], "--states"),
    (
        ["run", "fork_lost_store", "-r", "6.4.3", "--states", "many"],
        "Invalid value for '--states': 'many' is not",
    ),
    (
        ["run", "fork_lost_store", "-r", "6.4.3", "--seconds", "-1"],
        "not a number of seconds above 0",
    ),
    (
        ["run", "fork_lost_store", "-r", "6.4.3", "--seconds", "nan"],
        "not a number of seconds above 0",
    ),
    (
        ["run", "fork_lost_store", "-r", "6.4.3", "--seconds", "1e999"],
        "not a number of seconds above 0",
    ),
    (["replay"], "Missing argument 'TEXT'"),
    (["replay", ""], "this is not a schedule"),
    (["replay", "hello"], "this is not a schedule: 'hello'"),
    (["replay", LOST_STORE[:-1]], "damaged"),
    (["replay", LOST_STORE[:30]], "cut off"),
    (["replay", LOST_STORE.replace("0x6", "0x7")], "damaged"),
    (["replay", LOST_STORE.replace("mml1", "mml7")], "version mml7"),
    (["replay", summed("mml1:fork_lots_store:6.4.0:0x6")], "Did you mean fork_lost_store?"),
    (["replay", summed("mml1:fork_lost_store:5.15:0x6")], "there is no release '5.15'"),
    (["replay", summed("mml1:fork_lost_store:6.4.0:9x2")], "3 CPUs"),
    (["replay", summed("mml1:fork_lost_store:6.4.0:0x99")], "its task is done"),
    (["replay", summed("mml1:fork_lost_store:6.4.0:0xx")], "cannot be read"),
    (["replay", summed("mml1:fork_lost_store:6.4.0:0x999999")], "longer than"),
    (["replay", summed("mml1:fork_lost_store:6.4.0~dup_mmap.12345678:0")], "--answer FILE"),
    (["replay", LOST_STORE, "--step", "21"], "--step takes 0 to 20"),
    (["replay", LOST_STORE, "--step", "-1"], "Invalid value for '--step': '-1' is below 0."),
    (
        ["run", "fork_lost_store", "-r", "6.4.3", "--jobs", "257"],
        "Invalid value for '--jobs': '257' is above 256.",
    ),
    (
        ["run", "fork_lost_store", "-r", "6.4.3", "--seconds", "soon"],
        "Invalid value for '--seconds': 'soon' is not a number.",
    ),
    (
        ["graph", "stackrot", "-r", "6.4.0", "--view", "nice"],
        "Invalid value for '--view': 'nice' is not one of",
    ),
    (
        ["replay", LOST_STORE, "--svg", "/no/such/folder/x.svg"],
        "there is no folder /no/such/folder",
    ),
    (["replay", LOST_STORE, "--svg", "."], "is a folder"),
    (["replay", LOST_STORE, "--svg", ""], "is a folder"),
    (["replay", LOST_STORE, "--svg", "/dev/null"], "not an ordinary file"),
    (["replay", LOST_STORE, "--answer", "x.py"], "Leave --answer out"),
    (["check", "lab07"], "Missing argument 'FILE'"),
    (["check", "lab99", "x.py"], "there is no lab called 'lab99'"),
    (["check", "lab7", "x.py"], "Did you mean lab07?"),
    (["check", "07", "/no/such/file.py"], "there is no file /no/such/file.py"),
    (["check", "07", "x" * 5000 + ".py"], "cannot be read"),
    (["check", "07", ""], "is a folder"),
    (["hint", "07", "9"], "hints 1 to 3"),
    (["hint", "07", "0"], "hints 1 to 3"),
    (["hint", "07", "two"], "Invalid value for 'RUNG': 'two' is not a whole number."),
]


@pytest.mark.parametrize(
    ("words", "said"),
    BAD,
    ids=[" ".join(words)[:50].encode("unicode_escape").decode() for words, _ in BAD],
)
def test_bad_usage(mmlocks: Mmlocks, words: list[str], said: str) -> None:
    assert said in complaint(mmlocks(*words))


FILES = [
    ("syntax.py", b"x = (\n", "line 1: '(' was never closed"),
    ("empty.py", b"", "defines no kernel function"),
    ("other.py", b"x = 1\n", "defines no kernel function"),
    ("plain.py", b"def dup_mmap(mm, oldmm):\n    pass\n", "`async def dup_mmap(...)`"),
    ("short.py", b"async def dup_mmap(mm):\n    pass\n", "is called with 2 arguments"),
    ("generator.py", b"async def dup_mmap(mm, oldmm):\n    yield 1\n", "contains a `yield`"),
    ("number.py", b"dup_mmap = 3\n", "kernel function"),
    ("raises.py", b"x = 1\n\nraise ValueError('a\\nb')\n", "raises.py, line 3: ValueError: a b"),
    ("exits.py", b"import sys\nsys.exit(0)\n", "line 2: SystemExit"),
    ("binary.py", bytes(range(256)) * 4, "not a text file in UTF-8"),
    ("nul.py", b"x = 1\0\n", "null bytes"),
    ("huge.py", b"#" * 5_000_001, "5,000,001 bytes"),
    ("deep.py", b"(" * 100_000, "deep.py"),
    ("answer.txt", b"x = 1\n", "neither a .py nor an .ipynb"),
    ("text.ipynb", b"hello", "not a notebook"),
    ("list.ipynb", b"[1, 2]", "not a notebook"),
    ("cells.ipynb", b'{"cells": [{"cell_type": 3}, 4]}', "not a notebook"),
    ("deep.ipynb", b"[" * 100_000, "not a notebook"),
    ("none.ipynb", b'{"cells": []}', "no cell that defines a kernel function"),
]


@pytest.mark.parametrize(("name", "content", "said"), FILES, ids=[name for name, _, _ in FILES])
def test_bad_answer_files(
    mmlocks: Mmlocks, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert said in complaint(mmlocks("check", "07", tmp_path / name))


def test_answers_that_are_no_files(mmlocks: Mmlocks, tmp_path: Path) -> None:
    (tmp_path / "folder.py").mkdir()
    assert "is a folder" in complaint(mmlocks("check", "07", tmp_path / "folder.py"))
    os.mkfifo(tmp_path / "pipe.py")
    assert "not an ordinary file" in complaint(mmlocks("check", "07", tmp_path / "pipe.py"))
    (tmp_path / "endless.py").symlink_to("/dev/zero")
    assert "not an ordinary file" in complaint(mmlocks("check", "07", tmp_path / "endless.py"))
    (tmp_path / "dangling.py").symlink_to("nowhere")
    assert "there is no file" in complaint(mmlocks("check", "07", tmp_path / "dangling.py"))


@pytest.mark.parametrize("wait", ["while True:\n    pass", "import time\n\ntime.sleep(1000)"])
def test_an_answer_that_never_finishes_loading_is_stopped(
    mmlocks: Mmlocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait: str
) -> None:
    monkeypatch.setattr(reading.load_answer, "__defaults__", (0.2,))
    (tmp_path / "endless.py").write_text(f"x = 1\n{wait}\n")
    said = complaint(mmlocks("check", "07", tmp_path / "endless.py"))
    assert "still running after 0.2 seconds, and was stopped" in said
    assert "endless.py, line " in said


def test_a_schedule_of_another_answer(mmlocks: Mmlocks, answers: Path) -> None:
    import json

    found = json.loads(mmlocks("check", "07", answers / "wrong.py", "--json").stdout)
    schedule = found["checks"][0]["schedule"]
    assert "--answer FILE" in complaint(mmlocks("replay", schedule))
    said = complaint(mmlocks("replay", schedule, "--answer", answers / "right.py"))
    assert "the function has changed since" in said


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("while True:\n        pass", "without an await"),
        ("mmap_write_lock(oldmm)", "was called but not awaited"),
        ("raise SystemExit", "SystemExit"),
        ("import asyncio\n    await asyncio.sleep(1)", "in dup_mmap (bad.py, line 3)"),
        ("await dup_mmap(mm, oldmm)", "RecursionError"),
    ],
)
def test_answers_that_go_wrong_while_judged(
    mmlocks: Mmlocks, tmp_path: Path, body: str, said: str
) -> None:
    (tmp_path / "bad.py").write_text(f"async def dup_mmap(mm, oldmm):\n    {body}\n")
    done = mmlocks("check", "07", tmp_path / "bad.py")
    assert done.exit_code == 1
    assert said in " ".join(done.stdout.split())
    assert "Traceback" not in done.output
