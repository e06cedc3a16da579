"""`mmlocks host ...`: what is printed, exit statuses, files, Ctrl-C, and what cannot be compared."""

import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from mmlocks.conformance.diff import Outcome
from mmlocks.conformance.nursery import unsupported
from mmlocks.conformance.program import to_json
from mmlocks.conformance.rules import rules_of
from mmlocks.releases import LAYOUT_RULES
from tests.conformance.helpers import RECORDED, recording

Mmlocks = Callable[..., Result]
REPOSITORY = Path(__file__).resolve().parents[2]
needs_linux = pytest.mark.skipif(unsupported() is not None, reason=str(unsupported()))

MISMATCH = [["mmap", 0, ["arena", 0, 0], 4096, 3, 50, 0, 0], ["munmap", 0, ["arena", 0, 0], 4096]]


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """A recording of three programs."""
    from mmlocks.conformance.recorded import save

    save(tmp_path / "few.json", recording()._replace(runs=recording().runs[:3]))
    return tmp_path / "few.json"


@pytest.fixture
def wrong_munmap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model in which munmap does nothing."""
    from mmlocks.conformance.process import Process

    started = Process.started

    async def munmap(mm: object, start: int, length: int) -> int:
        return 0

    def wrong(*args: Any, **options: Any) -> Process:
        return started(*args, **{**options, "text": {"munmap": munmap}})

    monkeypatch.setattr(Process, "started", wrong)


# -- without Linux ----------------------------------------------------------------------------------------------------


def test_a_recording_is_compared(mmlocks: Mmlocks, few: Path) -> None:
    done = mmlocks("host", "diff", "--recorded", few)
    assert done.exit_code == 0, done.output
    assert "NO MISMATCH: 3 programs, " in done.stdout
    assert "the recording of Linux 6.18" in done.stdout
    assert "  two became one\n" in done.stdout
    found = json.loads(mmlocks("host", "diff", "--recorded", few, "--json").stdout)
    assert (found["programs"], found["mismatch"], found["file"]) == (3, None, str(few))
    assert found["coverage"]["who"]["operations of a parent"] > 10


def test_a_mismatch_with_a_recording(mmlocks: Mmlocks, few: Path, wrong_munmap: None) -> None:
    done = mmlocks("host", "diff", "--recorded", few)
    assert done.exit_code == 1
    assert "MISMATCH: program " in done.stdout
    assert "In Python:" in done.stdout
    assert "int main(void)" in done.stdout
    found = json.loads(mmlocks("host", "diff", "--recorded", few, "--json").stdout)
    mismatch = found["mismatch"]
    assert mismatch["program"][-1][0] in ("munmap", "mmap", "brk", "mremap")
    assert mismatch["kernel"] != mismatch["model"]
    assert mismatch["c"].startswith("/* cc -o program")


def test_rules_are_listed(mmlocks: Mmlocks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "release", lambda: "6.8.0-45-generic")
    told = mmlocks("host", "rules")
    assert told.exit_code == 0
    assert told.stdout.startswith("Linux 6.8.0\n")
    assert "has not been run on Linux 6.8 before" in " ".join(told.stdout.split())
    listed = json.loads(mmlocks("host", "rules", "--json").stdout)
    assert listed["kernel"] == "6.8.0"
    assert {rule["name"] for rule in listed["rules"]} == LAYOUT_RULES.keys()
    active = {rule["name"] for rule in listed["rules"] if rule["active"]}
    assert active == {patch.name for patch in rules_of((6, 8))}
    for rule in listed["rules"]:
        assert rule.keys() == {"name", "commit", "since", "earlier", "active", "compared", "about"}
        assert rule["commit"] in told.stdout


def test_rules_are_listed_where_there_is_no_linux(
    mmlocks: Mmlocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    told = mmlocks("host", "rules")
    assert told.exit_code == 0
    assert "this is Darwin" in told.stdout
    assert "active here" not in told.stdout
    listed = json.loads(mmlocks("host", "rules", "--json").stdout)
    assert listed["kernel"] is None
    assert {rule["active"] for rule in listed["rules"]} == {None}


def complaint(done: Result) -> str:
    """The one line that was said about bad usage."""
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize(
    "words", [["diff"], ["record", "x.json"], ["diff", "--program", "PROGRAM"]]
)
def test_without_linux_nothing_is_compared(
    mmlocks: Mmlocks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str]
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "PROGRAM").write_text(json.dumps(MISMATCH))
    assert "only Linux can be compared" in complaint(mmlocks("host", *words))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["PROGRAM"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["diff", "--sequences", "0"], "--sequences"),
        (["diff", "--sequences", "many"], "--sequences"),
        (["diff", "--ops", "0"], "--ops"),
        (["diff", "--ops", "1001"], "--ops"),
        (["diff", "--jobs", "0"], "--jobs"),
        (["diff", "--seed", ""], "--seed takes a number or a word"),
        (["diff", "--seed", "a\nb"], "--seed takes a number or a word"),
        (["diff", "--program", "a", "--recorded", "b"], "Leave one of them out"),
        (["diff", "--program", "/no/such/file"], "there is no file /no/such/file"),
        (["diff", "--program", "."], "not an ordinary file"),
        (["diff", "--recorded", "/no/such/file"], "there is no file /no/such/file"),
        (["diff", "--recorded", "."], "not an ordinary file"),
        (["record"], "Missing argument 'FILE'"),
        (["record", "."], "is a folder"),
        (["record", "/dev/null"], "not an ordinary file"),
        (["record", "/no/such/folder/x.json"], "there is no folder /no/such/folder"),
        (["dif"], "Did you mean 'diff'?"),
    ],
)
def test_bad_usage(mmlocks: Mmlocks, words: list[str], said: str) -> None:
    assert said in complaint(mmlocks("host", *words))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "does not hold JSON"),
        ("{}", "a program is a list"),
        ('{"mismatch": null}', "a program is a list"),
        ('[["fly", 0]]', "operation 0: an operation is a list of its name"),
        ("[" * 100_000, "does not hold JSON"),
    ],
)
def test_files_that_hold_no_program(
    mmlocks: Mmlocks, tmp_path: Path, content: str, said: str
) -> None:
    (tmp_path / "file.json").write_text(content)
    assert said in complaint(mmlocks("host", "diff", "--program", tmp_path / "file.json"))


# -- on Linux ---------------------------------------------------------------------------------------------------------


@needs_linux
def test_random_programs_are_compared(mmlocks: Mmlocks) -> None:
    done = mmlocks("host", "diff", "--sequences", 30, "--seed", "cli", "--jobs", 2)
    assert done.exit_code == 0, done.output
    assert "30 programs of 40 operations, seed cli\n" in done.stdout
    assert "NO MISMATCH: 30 programs, " in done.stdout
    assert "   <- seldom" in done.stdout, "so few programs do not show everything"
    found = json.loads(mmlocks("host", "diff", "--sequences", 30, "--ops", 10, "--json").stdout)
    assert (found["programs"], found["different"], found["ops"]) == (30, 30, 10)
    assert len(found["seed"]) == 8
    assert 200 < found["operations"] <= 300


@needs_linux
def test_a_mismatch_is_made_small_and_can_be_run_again(
    mmlocks: Mmlocks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wrong_munmap: None
) -> None:
    """The workers are other processes, in which nothing is replaced; so what they would find is given."""
    from mmlocks.conformance import workers
    from mmlocks.conformance.diff import run_some
    from mmlocks.conformance.generate import numbered
    from mmlocks.conformance.nursery import Nursery
    from mmlocks.conformance.rules import running_release

    def here(order: Any, _progress: object) -> Outcome:
        with Nursery() as nursery:
            release = running_release()
            return run_some(
                ((n, numbered(order.seed, n, order.operations)) for n in range(99)),
                nursery,
                release,
            )

    monkeypatch.setattr(workers, "diff", here)
    done = mmlocks("host", "diff", "--seed", "wrong", "--sequences", 99)
    assert done.exit_code == 1
    assert "The program was made as small as possible: " in done.stdout
    assert 'p0.call("munmap", ' in done.stdout
    assert "syscall(SYS_munmap, " in done.stdout
    assert "  mmlocks host diff --seed wrong --first " in done.stdout
    found = json.loads(
        mmlocks("host", "diff", "--seed", "wrong", "--sequences", 99, "--json").stdout
    )
    assert len(found["mismatch"]["program"]) <= 2
    assert len(found["mismatch"]["original"]) == 40
    (tmp_path / "found.json").write_text(json.dumps(found))
    again = mmlocks("host", "diff", "--program", tmp_path / "found.json", "--json")
    assert again.exit_code == 1
    assert json.loads(again.stdout)["mismatch"]["program"] == found["mismatch"]["program"]


@needs_linux
def test_one_program_is_run(mmlocks: Mmlocks, tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps(MISMATCH))
    done = mmlocks("host", "diff", "--program", tmp_path / "one.json")
    assert done.exit_code == 0, done.output
    assert "NO MISMATCH: 1 program, 2 operations" in done.stdout


@needs_linux
def test_the_kernel_is_recorded(mmlocks: Mmlocks, tmp_path: Path) -> None:
    file = tmp_path / "new.json.gz"
    done = mmlocks("host", "record", file, "--sequences", 4, "--ops", 12, "--seed", "s")
    assert done.exit_code == 0, done.output
    assert "4 programs of seed s on Linux 6." in done.stdout
    assert f"mmlocks host diff --recorded {file}" in done.stdout
    assert file.read_bytes()[:2] == b"\x1f\x8b"
    assert mmlocks("host", "diff", "--recorded", file).exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["new.json.gz"]


@needs_linux
@pytest.mark.parametrize("group", [False, True], ids=["kill -INT", "terminal"])
def test_ctrl_c_says_how_far_it_got(group: bool) -> None:
    words = [
        "host",
        "diff",
        "--sequences",
        "100000",
        "--seed",
        "interrupted",
        "--jobs",
        "2",
        "--json",
    ]
    with subprocess.Popen(
        [sys.executable, "-m", "mmlocks", *words],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        # Both workers run.
        within(60, lambda: sum("mmlocks" in name for name in running(process.pid)) >= 2)
        (os.killpg if group else os.kill)(process.pid, signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (130, "")
    assert stderr.startswith("mmlocks: interrupted after ") and stderr.count("\n") == 1, stderr
    assert "of 100,000 programs of seed interrupted; no mismatch so far." in stderr
    within(60, lambda: running(process.pid) == [])


def within(seconds: float, happens: Callable[[], bool]) -> None:
    """Wait for something to happen."""
    until = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < until
        time.sleep(0.02)


def running(session: int) -> list[str]:
    """What still runs of a session (a zombie does not)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue
        state, _, _, its_session, *_ = rest.split()
        if int(its_session) == session and state not in "ZX":
            found.append(name)
    return found


def test_what_the_recording_was_made_of_is_no_secret() -> None:
    text = json.dumps([to_json(run.program) for run in recording().runs[:1]])
    assert RECORDED.stat().st_size < 300_000
    assert "arena" in text


@needs_linux
def test_a_terminal_sees_progress() -> None:
    import pty

    keeper, terminal = pty.openpty()
    program = "from mmlocks.cli import terminal, main; terminal.Meter.PATIENCE = 0; main()"
    words = ["host", "diff", "--sequences", "60", "--seed", "progress", "--jobs", "2", "--json"]
    with subprocess.Popen(
        [sys.executable, "-c", program, *words],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    ) as process:
        os.close(terminal)
        assert process.stdout is not None
        assert json.loads(process.stdout.read())["programs"] == 60
    shown = os.read(keeper, 100_000).decode()
    os.close(keeper)
    assert "of 60 programs, " in shown
    assert "#" in shown
    assert " s left" in shown
