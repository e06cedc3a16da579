"""CONTRIBUTING.md walks through adding a lab: its files are taken as they stand, and used."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mmlocks.labs import read_lab
from tests.labs.texts import Texts

REPOSITORY = Path(__file__).resolve().parents[2]
SECTION = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Add a lab")[2]
BLOCK = re.compile(r"^```(?:toml|text|py) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of the walk-through."""
    for name, text in BLOCK.findall(SECTION):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return tmp_path


def test_its_commands_judge_an_answer_and_name_its_mistake(folder: Path) -> None:
    said = []
    for line in COMMANDS.findall(SECTION)[0].splitlines():
        program, *words = shlex.split(line)
        if program == "python":
            words[0] = str(REPOSITORY / words[0])
        else:
            words = ["-m", "mmlocks", *words]
        done = subprocess.run(
            [sys.executable, *words],
            cwd=folder,
            env={"PYTHONPATH": str(REPOSITORY), "PATH": "", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        said.append((done.returncode, " ".join(done.stdout.split()), done.stderr))
    (wrote, _, problem), (status, told, _) = said
    assert wrote == 0, problem
    assert (folder / "lab11_asked_too_early" / "behaviours.json").is_file()
    assert status == 1
    assert "WRONG: 0 of 10 points" in told
    assert "This is judged once the bug is repaired. First make 'alive' hold." in told
    assert "Yours behaves like: asks for the anon_vma before the VMA is locked" in told
    assert "answer.py, line 7" in told
    assert "mmlocks hint lab11_asked_too_early" in told


def test_its_bank_is_rejected_where_the_lab_says_so(folder: Path) -> None:
    lab = read_lab(folder / "lab11_asked_too_early")
    texts = Texts(lab.folder / "fixes.patch")
    for name, fix in lab.bank.fixes.items():
        judgement = lab.judge(texts.names(name))
        rejected = {
            result.check.name: f"{story}: {result.shown.verdict.violation.oracle}"
            for result in judgement.results
            if result.shown is not None
            and result.shown.verdict.violation is not None
            and (story := result.shown.scenario.name.removesuffix("+all"))
        }
        assert rejected == fix.rejected, name
        assert judgement.points == (10 if fix.verdict == "right" else 0)
