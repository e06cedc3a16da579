"""docs/instructors.md walks through a lab's week: its commands are taken as they stand, and run."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
TEXT = (REPOSITORY / "docs" / "instructors.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_walk_through_ends_with_a_filled_canvas_and_moodle_file(tmp_path: Path) -> None:
    programs, work = tmp_path / "bin", tmp_path / "work"
    programs.mkdir()
    work.mkdir()
    program = programs / "mmlocks"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mmlocks "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    for block in BLOCKS:
        done = subprocess.run(
            ["/bin/bash", "-e", "-c", block],
            cwd=work,
            env={**os.environ, "PATH": path, "PYTHONPATH": str(REPOSITORY), "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    with (work / "grades" / "grades.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = {row["login"]: row for row in csv.DictReader(file)}
    assert {login: row["finding"] for login, row in rows.items()} == {
        "ada": "CORRECT",
        "bo": "WRONG",
        "cy": "NOT HANDED IN",
    }
    assert (rows["ada"]["mark"], rows["bo"]["mark"]) == ("10", "5")
    canvas = (work / "canvas-filled.csv").read_text(encoding="utf-8").splitlines()
    assert canvas[2:4] == ['"Byron, Ada",9001,101,ada,CS 1,10', '"Chen, Bo",9002,102,bo,CS 1,5']
    moodle = (work / "moodle-filled.csv").read_text(encoding="utf-8").splitlines()
    assert '"Submitted for grading",10,' in moodle[1] and ",5," in moodle[2]
