"""What each command prints, and its exit status."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from mmlocks import __version__
from mmlocks.cli.app import COMMANDS
from mmlocks.cli.host import COMMANDS as HOST_COMMANDS
from mmlocks.labs import LABS
from mmlocks.scenarios import SCENARIOS

Mmlocks = Callable[..., Result]
LOST_STORE = "mml1:fork_lost_store:6.4.0:0x6.2x10.1x2.2x2:dcc209c4"
RUN_KEYS = {"scenario", "release", "verdict", "states", "transitions", "seconds", "schedule", "violation"} | {
    "endings", "executions", "searched", "left_out", "reason", "minimal", "expected", "tools",
}  # fmt: skip


def pasted(output: str) -> list[str]:
    """The words of the command that an output offers to paste."""
    import shlex

    return next(
        shlex.split(line)[1:]
        for line in output.splitlines()
        if line.startswith("  mmlocks replay ")
    )


def test_without_arguments_help_is_shown(mmlocks: Mmlocks) -> None:
    done = mmlocks()
    assert done.exit_code == 0
    for command in ("demo", "run", "scenarios", "replay", "check", "hint"):
        assert f"\n  {command} " in done.stdout
    assert "..." not in done.stdout.replace("[ARGS]...", "")


@pytest.mark.parametrize("group", ["", "host"])
def test_the_list_of_commands_says_of_each_what_its_own_help_says(
    mmlocks: Mmlocks, group: str
) -> None:
    sentences = HOST_COMMANDS if group else COMMANDS
    listed = mmlocks(*group.split(), "--help").stdout.partition("\nCommands:\n")[2].splitlines()
    assert [line.split(None, 1) for line in listed[: len(sentences)]] == [
        [name, sentence] for name, sentence in sentences.items()
    ]
    for name, sentence in sentences.items():
        assert mmlocks(*group.split(), name, "--help").stdout.splitlines()[2] == f"  {sentence}"


def test_version(mmlocks: Mmlocks) -> None:
    assert mmlocks("--version").stdout == f"mmlocks {__version__}\n"


def test_demo_shows_the_loss_and_the_proof(mmlocks: Mmlocks) -> None:
    done = mmlocks("demo")
    text = " ".join(done.stdout.split())
    assert done.exit_code == 0
    assert re.search(r"cpu0: fork\(\) +cpu1: .+ +cpu2: ", done.stdout), "a column for each CPU"
    assert "P3: F0 rw -> F0 ro" in text
    assert "that store is lost." in text
    assert "SAFE: all interleavings searched" in text
    assert re.search(r"[\d,]+ states, [\d,]+ transitions", text)
    assert "Not searched: other programs, more CPUs" in text
    assert mmlocks(*pasted(done.stdout)).exit_code == 1


@pytest.mark.parametrize("more", [[], ["--also", "stale_copy"]], ids=["plain", "also"])
def test_a_violation_names_the_commands_that_tell_more(mmlocks: Mmlocks, more: list[str]) -> None:
    """And they work as they are printed."""
    done = mmlocks("run", "fork_lost_store", "-r", "6.4.3", "--without", "fork_locks_vmas", *more)
    rule = re.search(r"VIOLATED \((\w+)\)", done.stdout)
    assert rule is not None
    commands = [line.split() for line in done.stdout.splitlines() if line.startswith("  mmlocks ")]
    assert [words[1] for words in commands] == ["replay", "explain", "endings"]
    for words in commands:
        again = mmlocks(*words[1:])
        assert again.exit_code == 1, words
        assert words[1] == "replay" or rule[1] in again.stdout
    assert "mmlocks explain" not in mmlocks("run", "fork_lost_store", "-r", "6.4.3").stdout


@pytest.mark.parametrize("columns", [40, 80, 120, 300])
def test_nothing_is_wider_than_the_terminal(
    mmlocks: Mmlocks, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for words in (["demo"], ["scenarios"], ["replay", LOST_STORE, "--step", "9"]):
        lines = mmlocks(*words).stdout.splitlines()
        assert max(len(line) for line in lines if not line.startswith("  mmlocks ")) <= min(
            columns, 120
        ), words


@pytest.mark.parametrize(
    ("scenario", "release", "expected"),
    [
        (name, release, outcome)
        for name, one in SCENARIOS.items()
        for release, outcome in one.expected.items()
    ],
)
def test_run_tells_what_the_record_says(
    mmlocks: Mmlocks, scenario: str, release: str, expected: str
) -> None:
    done = mmlocks("run", scenario, "--release", release, "--json")
    found = json.loads(done.stdout)
    assert found.keys() >= RUN_KEYS
    assert (found["verdict"], found["expected"]) == (expected, expected)
    assert (found["scenario"], found["release"]) == (scenario, release)
    assert done.exit_code == {"safe": 0, "violated": 1}[expected]
    assert done.stderr == ""
    if expected == "violated":
        assert found["violation"].keys() == {"oracle", "message", "step"}
        assert mmlocks("replay", found["schedule"]).exit_code == 1
    else:
        assert found["violation"] is found["schedule"] is None


def test_run_in_words(mmlocks: Mmlocks) -> None:
    done = mmlocks("run", "fork_torn_snapshot", "-r", "6.4.0")
    assert "VIOLATED (snapshot)" in done.stdout
    assert "As expected of 6.4.0: violated" in done.stdout
    assert "A model observation." in done.stdout
    assert pasted(done.stdout)[0] == "replay"


def test_run_with_and_without_a_patch(mmlocks: Mmlocks) -> None:
    cured = mmlocks("run", "fork_lost_store", "-r", "6.4.0", "--with", "fork_locks_vmas", "--json")
    assert (cured.exit_code, json.loads(cured.stdout)["release"]) == (0, "6.4.0+fork_locks_vmas")
    broken = mmlocks("run", "fork_lost_store", "-r", "6.4.3", "--without", "fb49c455323f")
    assert broken.exit_code == 1
    assert mmlocks(*pasted(broken.stdout)).exit_code == 1, "a changed release can be replayed"


def test_a_patch_that_changes_nothing_is_said_on_stderr(mmlocks: Mmlocks) -> None:
    done = mmlocks("run", "fork_lost_store", "-r", "6.4.3", "--with", "fork_locks_vmas", "--json")
    assert json.loads(done.stdout)["release"] == "6.4.3"
    assert "changes nothing: 6.4.3 has it already" in done.stderr


def test_full_search_sees_the_same_endings(mmlocks: Mmlocks) -> None:
    reduced, full = (
        json.loads(mmlocks("run", "fork_lost_store", "-r", "6.4.3", "--json", *extra).stdout)
        for extra in ([], ["--full"])
    )
    assert (
        "one order of each set" in reduced["searched"]
        and "every order of steps" in full["searched"]
    )
    assert reduced["endings"] == full["endings"]
    assert reduced["states"] < full["states"]


@pytest.mark.parametrize("budget", [["--states", "2100"], ["--seconds", "0.000001"]])
def test_a_budget_that_is_used_up_proves_nothing(mmlocks: Mmlocks, budget: list[str]) -> None:
    words = ["run", "young_reproducer", "-r", "6.4.3", "--full", *budget]
    found = mmlocks(*words, "--json")
    assert found.exit_code == 3
    assert json.loads(found.stdout)["verdict"] == "unproved"
    assert "budget" in json.loads(found.stdout)["reason"]
    told = mmlocks(*words)
    assert "UNPROVED" in told.stdout
    assert "To search further, raise --states or --seconds." in told.stdout


def test_scenarios(mmlocks: Mmlocks) -> None:
    listed = json.loads(mmlocks("scenarios", "--json").stdout)
    assert [one["name"] for one in listed] == list(SCENARIOS)
    told = " ".join(mmlocks("scenarios").stdout.split())
    for scenario in SCENARIOS.values():
        assert scenario.name in told
        assert scenario.title in told
        assert " ".join(scenario.remark.split()) in told


# -- replay -----------------------------------------------------------------------------------------------------------


def test_replay_one_state(mmlocks: Mmlocks) -> None:
    before = mmlocks("replay", LOST_STORE, "--step", "7")
    assert before.exit_code == 0, "nothing is wrong yet"
    assert "After step 7 of 20" in before.stdout
    assert "STALE" in before.stdout
    assert mmlocks("replay", LOST_STORE, "--step", "20").exit_code == 1


@pytest.mark.parametrize(
    "text",
    [
        f"replay: {LOST_STORE}",
        f"  {LOST_STORE[:30]}\n{LOST_STORE[30:]} ",
        f"mmlocks replay {LOST_STORE}",
    ],
)
def test_replay_takes_what_was_copied_carelessly(mmlocks: Mmlocks, text: str) -> None:
    assert "that store is lost" in " ".join(mmlocks("replay", text).stdout.split())


@pytest.mark.parametrize("step", [[], ["--step", "7"]])
def test_replay_writes_a_picture(mmlocks: Mmlocks, tmp_path: Path, step: list[str]) -> None:
    file = tmp_path / "run.svg"
    file.write_text("older")
    link = tmp_path / "link.svg"
    link.symlink_to(file)
    done = mmlocks("replay", LOST_STORE, "--svg", link, *step)
    assert done.stdout.endswith(f"Picture written to {link}\n")
    assert file.read_text(encoding="utf-8").startswith("<svg")
    assert link.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.svg", "run.svg"], (
        "no temporary file is left"
    )


def test_a_picture_that_cannot_be_written_leaves_the_old_one(
    mmlocks: Mmlocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "run.svg"
    file.write_text("older")

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    done = mmlocks("replay", LOST_STORE, "--svg", file)
    assert done.exit_code == 2
    assert "cannot be written to" in done.stderr
    assert "No space left on device" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["run.svg"]
    assert file.read_text() == "older"


# -- check ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "finding", "points", "status"),
    [("right", "CORRECT", 10, 0), ("wrong", "WRONG", 0, 1), ("costly", "CORRECT BUT COSTLY", 8, 4)],
)
def test_check(
    mmlocks: Mmlocks, answers: Path, name: str, finding: str, points: int, status: int
) -> None:
    done = mmlocks("check", "lab07", answers / f"{name}.py", "--json")
    found = json.loads(done.stdout)
    assert done.exit_code == status
    assert found.keys() == {
        *("lab", "judged", "finding", "points", "of", "checks"),
        *("counterexample", "likeness", "linux", "unjudged"),
    }
    assert (found["lab"], found["finding"], found["points"], found["of"]) == (
        "lab07_fork_vs_fault",
        finding,
        points,
        10,
    )
    for check in found["checks"]:
        assert check.keys() == {
            "name",
            "points",
            "of",
            "finding",
            "message",
            "schedule",
            "violation",
        }
    told = mmlocks("check", "07", answers / f"{name}.py")
    assert told.exit_code == status
    assert f"\n{finding}: {points} of 10 points\n" in told.stdout
    assert ("Assumed:" in told.stdout) == (finding != "WRONG")


def test_a_wrong_answer_can_be_replayed(mmlocks: Mmlocks, answers: Path) -> None:
    told = mmlocks("check", "07", answers / "wrong.py")
    words = pasted(told.stdout)
    assert words[2:] == ["--answer", str(answers / "wrong.py")]
    again = mmlocks(*words)
    assert again.exit_code == 1
    assert "that store is lost" in " ".join(again.stdout.split())


def test_check_reads_a_notebook(mmlocks: Mmlocks, answers: Path) -> None:
    source = (answers / "right.py").read_text()
    cells = [
        {"cell_type": "code", "source": ["1 / 0"], "metadata": {}},
        {
            "cell_type": "code",
            "source": source.splitlines(keepends=True),
            "metadata": {"nbgrader": {"solution": False, "locked": False}},
        },
    ]
    (answers / "lab.ipynb").write_text(
        json.dumps({"cells": cells, "nbformat": 4, "nbformat_minor": 5, "metadata": {}})
    )
    assert mmlocks("check", "lab07_fork_vs_fault", answers / "lab.ipynb").exit_code == 0


def test_what_an_answer_prints_does_not_spoil_the_json(mmlocks: Mmlocks, answers: Path) -> None:
    noisy = (
        (answers / "right.py")
        .read_text()
        .replace("    await flush", "    print('inside')\n    await flush")
    )
    (answers / "noisy.py").write_text(f"print('outside')\n{noisy}")
    done = mmlocks("check", "07", answers / "noisy.py", "--json")
    assert json.loads(done.stdout)["finding"] == "CORRECT"
    assert {"outside", "inside"} <= set(done.stderr.split())


def test_an_unproved_answer(mmlocks: Mmlocks, answers: Path) -> None:
    done = mmlocks("check", "07", answers / "right.py", "--seconds", "0.000001")
    assert done.exit_code == 3
    # What is small enough to be searched before the first look at the clock is proved all the same.
    assert re.search(
        r"UNPROVED: [026] of 10 points\n+To search further, raise --seconds\.", done.stdout
    )


@pytest.mark.parametrize("rung", [1, 2, 3])
def test_hints(mmlocks: Mmlocks, rung: int) -> None:
    done = mmlocks("hint", "07", rung)
    assert " ".join(LABS["lab07_fork_vs_fault"].hints[rung - 1].split()) in " ".join(
        done.stdout.split()
    )
    assert (f"mmlocks hint 07 {rung + 1}" in done.stdout) == (rung < 3)


def test_one_more_oracle_can_be_asked_and_replayed(mmlocks: Mmlocks) -> None:
    done = mmlocks("run", "fork_lost_store", "--release", "6.4.0", "--also", "stale_copy", "--json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["violation"]["oracle"]) == (1, "stale_copy")
    assert mmlocks("replay", found["schedule"], "--also", "stale_copy").exit_code == 1
    assert (
        mmlocks("run", "fork_lost_store", "--release", "6.4.3", "--also", "stale_copy").exit_code
        == 0
    )
    unknown = mmlocks("run", "fork_lost_store", "--release", "6.4.3", "--also", "nonsense")
    assert unknown.exit_code == 2
    assert "Known oracles" in unknown.stderr
