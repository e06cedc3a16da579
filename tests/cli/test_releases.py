"""`mmlocks releases`: the table in every width, as JSON, ended early, and asked for badly."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from mmlocks.cli import releases as command
from mmlocks.releases import NEWEST, PATCHES, RELEASES, SPECULATIVE_FAULTS
from mmlocks.scenarios import SCENARIOS
from mmlocks.scenarios.scenario import expect

Mmlocks = Callable[..., Result]
REPOSITORY = Path(__file__).resolve().parents[2]
SOME = ["--scenario", "fork_torn_snapshot", "--scenario", "fork_other_vma", "--jobs", "1"]
CELL = {"scenario", "release", "outcome", "oracle", "message", "states", "seconds", "schedule", "steps"} | {
    "minimal", "expected",
}  # fmt: skip


def words(done: Result) -> str:
    return " ".join(done.stdout.split())


def test_a_table_that_fits_a_hundred_columns(
    mmlocks: Mmlocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    done = mmlocks("releases", *SOME)
    assert (done.exit_code, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0] == f"Every interleaving of 2 scenarios on {len(RELEASES)} releases"
    table = lines[: lines.index(next(line for line in lines if line.startswith("safe: ")))]
    heads = [line.split() for line in table if line.startswith(" ")]
    assert [name for head in heads for name in head] == list(RELEASES), (
        "every release has its column, in order"
    )
    torn = [
        cell
        for line in lines
        if line.startswith("fork_torn_snapshot  ")
        for cell in line.split()[1:]
    ]
    assert torn == ["snapshot" if name in ("6.4.0", "6.4.1") else "safe" for name in RELEASES]
    where = lines[2].index("6.4.0")
    assert lines[3][where:].startswith("snapshot"), "a column stands below its head"


@pytest.mark.parametrize("columns", [40, 60, 80, 120, 300])
def test_no_width_breaks_it(
    mmlocks: Mmlocks, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    done = mmlocks("releases", *SOME)
    lines = [line for line in done.stdout.splitlines() if not line.startswith("  mmlocks ")]
    assert max(map(len, lines)) <= min(columns, 120)
    said = words(done)
    if columns < 60:
        assert "snapshot: 6.4.0, 6.4.1" in said, "a list, where columns do not fit"
    assert said.count("fork_torn_snapshot") >= 2


def test_what_goes_wrong_is_told_once_and_can_be_seen(mmlocks: Mmlocks) -> None:
    done = mmlocks("releases", *SOME, "-r", "6.4.0", "-r", "6.4.1")
    assert "fork_torn_snapshot: snapshot, in 25 steps: 6.4.0, 6.4.1" in words(done)
    assert words(done).count("the snapshot is torn") == 1
    shown = next(
        line.split() for line in done.stdout.splitlines() if line.startswith("  mmlocks run ")
    )
    assert mmlocks(*shown[1:]).exit_code == 1


def test_releases_and_patches_are_told(mmlocks: Mmlocks) -> None:
    said = words(mmlocks("releases", *SOME))
    for release in RELEASES.values():
        assert f"{release.name} {release.date}" in said
        assert release.about in said
    for patch in PATCHES.values():
        assert f"{patch.name} {patch.commit} {patch.shipped} {patch.about}." in said
    assert "6.4.1 2023-07-01 6.4.0 +stack_grows_exclusively" in said
    assert "6.3 2023-04-23 the same patches as 6.1" in said


def test_json(mmlocks: Mmlocks) -> None:
    done = mmlocks("releases", *SOME, "--json")
    found = json.loads(done.stdout)
    assert (done.exit_code, done.stderr) == (0, "")
    assert found.keys() == {"releases", "patches", "cells", "without", "seconds", "interrupted"}
    assert all(re.search(rf"\b{key}\b", command.SCHEMA) for key in found.keys() | CELL), (
        "--help names every key"
    )
    assert [one["name"] for one in found["releases"]] == list(RELEASES)
    assert [one["name"] for one in found["patches"]] == list(PATCHES)
    assert {one["name"]: set(one["patches"]) for one in found["releases"]} == {
        name: {patch.name for patch in release.patches} for name, release in RELEASES.items()
    }
    assert [(cell["scenario"], cell["release"]) for cell in found["cells"]] == [
        (scenario, release)
        for scenario in ("fork_torn_snapshot", "fork_other_vma")
        for release in RELEASES
    ]
    assert all(cell.keys() == CELL for cell in found["cells"])
    torn = found["cells"][list(RELEASES).index("6.4.0")]
    assert (torn["outcome"], torn["oracle"], torn["expected"]) == (
        "violated",
        "snapshot",
        "violated",
    )
    assert mmlocks("replay", torn["schedule"]).exit_code == 1
    assert (found["without"], found["interrupted"]) == (None, False)


def test_without_each_repair(mmlocks: Mmlocks) -> None:
    asked = [
        "releases",
        "--scenario",
        "fork_torn_snapshot",
        "-r",
        "6.4.3",
        "--jobs",
        "1",
        "--without",
    ]
    found = json.loads(mmlocks(*asked, "--json").stdout)["without"]
    assert found.keys() == {"release", "repairs", "pairs", "cells"}
    assert found["release"] == NEWEST.name
    violated = {row["without"][0]: row["violated"] for row in found["repairs"]}
    assert violated["fork_locks_vmas"] == {"fork_torn_snapshot": "snapshot"}
    assert [name for name, scenarios in violated.items() if scenarios] == ["fork_locks_vmas"]
    assert all(
        row.keys() == {"without", "violated", "together"}
        for row in found["repairs"] + found["pairs"]
    )
    said = words(mmlocks(*asked))
    assert "fork_locks_vmas fb49c455323f 6.4.3 Without it: fork_torn_snapshot (snapshot)." in said
    assert "Without it: nothing goes wrong in these scenarios." in said


def test_several_jobs_find_the_same(mmlocks: Mmlocks) -> None:
    one, two = (
        json.loads(
            mmlocks("releases", *SOME, "--jobs", jobs, "-r", "6.3", "-r", "6.4.0", "--json").stdout
        )
        for jobs in (1, 2)
    )
    for cell in one["cells"] + two["cells"]:
        del cell["seconds"]
    assert one["cells"] == two["cells"]


def test_signs_and_exit_statuses(mmlocks: Mmlocks, monkeypatch: pytest.MonkeyPatch) -> None:
    needy = dataclasses.replace(SCENARIOS["fork_other_vma"], needs=(SPECULATIVE_FAULTS,))
    monkeypatch.setitem(SCENARIOS, "fork_other_vma", needy)
    done = mmlocks("releases", *SOME, "-r", "6.4.0")
    assert (
        done.exit_code,
        "fork_other_vma -" in words(done),
        "-: the scenario does not apply" in words(done),
    ) == (0, True, True)
    wrong = dataclasses.replace(SCENARIOS["fork_torn_snapshot"], expected=expect())
    monkeypatch.setitem(SCENARIOS, "fork_torn_snapshot", wrong)
    done = mmlocks("releases", *SOME, "-r", "6.4.0")
    assert (done.exit_code, "snapshot (!)" in words(done)) == (1, True)
    assert "fork_torn_snapshot on 6.4.0 is expected to be safe, and is violated." in words(done)
    done = mmlocks(
        "releases",
        "--scenario",
        "young_reproducer",
        "-r",
        "6.4.3",
        "--jobs",
        "1",
        "--seconds",
        "0.001",
    )
    assert (done.exit_code, "young_reproducer ?" in words(done)) == (3, True)
    assert "?: not settled." in words(done) and "raise --seconds" in words(done)


def test_colours_repeat_what_words_say(mmlocks: Mmlocks, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ["releases", *SOME, "-r", "6.4.0", "-r", "6.4.3"]
    plain = mmlocks(*asked).stdout
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    coloured = mmlocks(*asked).stdout
    assert "\x1b[1;31msnapshot\x1b[0m" in coloured
    assert "\x1b[1;32msafe\x1b[0m" in coloured
    seconds = re.compile(r"in \d+\.\d s")
    assert seconds.sub("", re.sub(r"\x1b\[[\d;]*m", "", coloured)) == seconds.sub("", plain)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--scenario", "fork_lots_store"], "Did you mean fork_lost_store?"),
        (["--scenario", ""], "there is no scenario called ''"),
        (["-r", "6.4.3+fork_lock_vmas"], "there is no patch called 'fork_lock_vmas'"),
        (["-r", "6.5"], "Known releases: 6.1, 6.3"),
        (["-r", "specultive"], "Did you mean speculative?"),
        (["--jobs", "0"], "--jobs"),
        (["--seconds", "0"], "--seconds"),
        (["--seconds", "nan"], "--seconds"),
        (["--without", "fork_locks_vmas"], "unexpected extra argument"),
    ],
)
def test_bad_usage(mmlocks: Mmlocks, asked: list[str], said: str) -> None:
    done = mmlocks("releases", *asked)
    assert (done.exit_code, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr


# -- as a process of its own ------------------------------------------------------------------------------------------


def started(program: str, *more: str, **how: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, "releases", *more],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        **how,
    )


@pytest.mark.parametrize("jobs", [1, 4])  # of four workers, two have nothing more to do
def test_ctrl_c_shows_what_there_is_and_leaves_no_process(tmp_path: Path, jobs: int) -> None:
    """A search that takes minutes is interrupted in its middle; the quick one before it is shown."""
    ready = tmp_path / "ready"
    (tmp_path / "slow.py").write_text(
        "import dataclasses, os\n"
        "from mmlocks.scenarios import SCENARIOS\n"
        "from mmlocks.scenarios.fork_many import fork_many\n"
        "SCENARIOS['fork_other_vma'] = dataclasses.replace(fork_many(4, 6), name='fork_other_vma')\n"
        "if __name__ == '__main__':\n"
        "    from mmlocks.cli import main\n"
        "    from mmlocks.cli.releases import Count\n"
        "    def show(self, done, of, what, show=Count.show):\n"
        f"        done and open({str(ready)!r}, 'w').close()\n"
        "        return show(self, done, of, what)\n"
        "    Count.show = show\n"
        "    main()\n"
    )
    asked = [
        "--scenario",
        "fork_torn_snapshot",
        "--scenario",
        "fork_other_vma",
        "-r",
        "6.4.3",
        "-r",
        "6.4.0",
    ]
    with subprocess.Popen(
        [sys.executable, tmp_path / "slow.py", "releases", *asked, "--jobs", str(jobs), "--json"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    ) as process:
        until = time.monotonic() + 30
        while not ready.exists():
            assert time.monotonic() < until
            time.sleep(0.02)
        time.sleep(0.5)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        out, err = process.communicate(timeout=20)
    assert process.returncode == 3, "as what is not settled is unproved"
    found = json.loads(out)
    assert found["interrupted"]
    cells = {(cell["scenario"], cell["release"]): cell["outcome"] for cell in found["cells"]}
    assert len(cells) == 4
    assert (cells["fork_torn_snapshot", "6.4.3"], cells["fork_torn_snapshot", "6.4.0"]) != (
        "unproved",
        "unproved",
    )
    assert "unproved" in {cells["fork_other_vma", "6.4.3"], cells["fork_other_vma", "6.4.0"]}
    assert re.fullmatch(r"mmlocks: interrupted; [123] of 4 cells were settled\.\n", err)
    with pytest.raises(ProcessLookupError):  # noqa: PT012
        for _ in range(100):  # multiprocessing's own helper goes a moment later
            os.killpg(process.pid, 0)
            time.sleep(0.05)


def test_a_terminal_sees_progress() -> None:
    import pty

    keeper, terminal = pty.openpty()
    with started(
        "from mmlocks.cli import terminal, main; terminal.Meter.PATIENCE = 0; main()",
        *SOME,
        "--json",
        stderr=terminal,
        env={**os.environ, "TERM": "xterm"},
    ) as process:
        os.close(terminal)
        assert process.stdout is not None
        assert not json.loads(process.stdout.read())["interrupted"]
    shown = os.read(keeper, 100_000).decode()
    os.close(keeper)
    assert " searches, " in shown
    assert "fork_torn_snapshot on 6.1" in shown
