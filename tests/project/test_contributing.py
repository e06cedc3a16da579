"""CONTRIBUTING.md walks through adding a bug: its code is taken as it stands, and run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
TEXT = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```python (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of the walk-through: blocks of one name make one file."""
    for name, code in BLOCK.findall(TEXT):
        with (tmp_path / name).open("a", encoding="utf-8") as file:
            file.write(f"{code}\n\n")
    return tmp_path


def mmlocks(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command, in that folder, in a process of its own: the file brings a patch along."""
    return subprocess.run(
        [sys.executable, "-m", "mmlocks", *words],
        cwd=folder,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_bug_of_the_walk_through_is_found_and_its_repair_is_proved(folder: Path) -> None:
    broken, repaired = (shlex.split(line)[1:] for line in COMMANDS.findall(TEXT)[0].splitlines())
    found, proved = mmlocks(folder, *broken), mmlocks(folder, *repaired)
    assert found.returncode == 1 and "VIOLATED (freed_vma)" in found.stdout, found.stderr
    assert "As expected of 6.1: violated." in found.stdout
    assert proved.returncode == 0 and "SAFE: all interleavings" in proved.stdout, proved.stderr
    assert "As expected of 6.1+exit_resets_list: safe." in proved.stdout


def test_every_command_that_its_run_offers_works_on_both_releases(folder: Path) -> None:
    """With the repair, the same order of steps does no harm."""
    (line,) = [
        line
        for line in mmlocks(folder, "run", "exit_list.py:EXIT_LIST", "-r", "6.1").stdout.split("\n")
        if line.startswith("  mmlocks explain")
    ]
    told = mmlocks(folder, *shlex.split(line)[1:])
    assert "WHAT MATTERS" in told.stdout, told.stderr
    endings = mmlocks(folder, "endings", "exit_list.py:EXIT_LIST", "-r", "6.1+exit_resets_list")
    assert endings.returncode == 0 and "VIOLATED" not in endings.stdout, endings.stderr


def test_the_walk_through_keeps_to_one_file_of_less_than_a_hundred_lines(folder: Path) -> None:
    (file,) = folder.iterdir()
    assert len(file.read_text(encoding="utf-8").splitlines()) < 100


def test_every_file_that_contributing_names_exists() -> None:
    named = set(re.findall(r"`((?:mmlocks|tests)/[\w/.]+|[A-Z]+\.md|\.ci/run)`", TEXT))
    assert len(named) > 6
    assert [name for name in named if not (REPOSITORY / name).exists()] == []
