"""What students get holds all that they need, and nothing that would answer the lab for them."""

from __future__ import annotations

import json
import tomllib
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from mmlocks.errors import MmlocksError
from mmlocks.grading.assign import assign, parsed_due
from mmlocks.grading.masters import master_file
from mmlocks.labs import LABS

REPOSITORY = Path(__file__).resolve().parents[2]
ALL = list(LABS.values())


def contents(out: Path) -> Iterator[tuple[str, str]]:
    """Every text below a folder, and inside the zips there."""
    for file in sorted(out.rglob("*")):
        if file.suffix == ".zip":
            with zipfile.ZipFile(file) as archive:
                for name in archive.namelist():
                    yield f"{file.name}: {name}", archive.read(name).decode()
        elif file.is_file():
            yield str(file.relative_to(out)), file.read_text(encoding="utf-8")


def added_by_the_solution(name: str) -> list[str]:
    """The lines between the solution's markers."""
    cells = json.loads((REPOSITORY / "solutions" / f"{name}.ipynb").read_text())["cells"]
    lines, inside = [], False
    for line in "\n".join("".join(cell["source"]) for cell in cells).splitlines():
        if "### " in line:
            inside = "BEGIN" in line
        elif inside:
            lines.append(line.strip())
    return [line for line in lines if line]


def test_all_is_handed_out_in_the_folder_and_in_the_zip(tmp_path: Path) -> None:
    made = assign(ALL, tmp_path / "out", due=parsed_due("2026-12-24"))
    assert all(file.exists() for file in made.values())
    for lab in ALL:
        handed_out = (tmp_path / "out" / "student" / f"{lab.name}.ipynb").read_bytes()
        assert handed_out == master_file(lab).read_bytes()
        with zipfile.ZipFile(made["zip for the LMS"]) as archive:
            assert archive.read(f"{lab.name}.ipynb") == handed_out
    told = (tmp_path / "out" / "student" / "INSTRUCTIONS.md").read_text()
    assert "24 December 2026, 23:59" in told


def test_no_solution_no_hint_and_no_known_fix_is_handed_out(tmp_path: Path) -> None:
    assign(ALL, tmp_path / "out")
    secret = [line for lab in ALL for line in added_by_the_solution(lab.name)]
    assert secret  # else nothing is looked for
    secret += [hint for lab in ALL for hint in lab.hints]
    secret += [fix.says for lab in ALL for fix in lab.bank.fixes.values()]
    secret += ["BEGIN SOLUTION", "END SOLUTION"]
    found = list(contents(tmp_path / "out"))
    assert len(found) > len(ALL)
    for where, text in found:
        for line in secret:
            assert line not in text, where


def test_the_same_assignment_is_the_same_bytes(tmp_path: Path) -> None:
    one, other = (assign(ALL, tmp_path / name)["zip for the LMS"] for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()


def test_the_grader_can_read_what_was_assigned(tmp_path: Path) -> None:
    (tmp_path / "roster.csv").write_text("id,login\n1,ada\n")
    due = parsed_due("2026-12-24T12:00+01:00")
    assign(ALL, tmp_path / "out", tmp_path / "roster.csv", due)
    told = tomllib.loads((tmp_path / "out" / "assignment.toml").read_text())
    assert told["labs"] == [lab.name for lab in ALL]
    assert told["due"] == due
    assert (tmp_path / "out" / "roster.csv").read_text() == "id,login\n1,ada\n"


@pytest.mark.parametrize("full", [True, False], ids=["a folder in use", "a file"])
def test_nothing_that_is_there_is_written_over(tmp_path: Path, full: bool) -> None:
    out = tmp_path / "out"
    if full:
        out.mkdir()
        (out / "marks.csv").write_text("precious")
    else:
        out.write_text("precious")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(MmlocksError, match="exists already"):
        assign(ALL, out)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_roster_that_cannot_be_read_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(MmlocksError, match=r"roster .*none\.csv cannot be read"):
        assign(ALL, tmp_path / "out", roster=tmp_path / "none.csv")
    assert not list(tmp_path.iterdir())


def test_a_date_is_the_end_of_that_day_and_has_an_offset() -> None:
    due = parsed_due("2026-12-24")
    assert (due.hour, due.minute) == (23, 59)
    assert due.tzinfo is not None
    assert parsed_due("2026-12-24T12:00+01:00") == datetime.fromisoformat("2026-12-24T11:00+00:00")


@pytest.mark.parametrize("text", ["tomorrow", "24.12.2026", "2026-02-30", ""])
def test_what_is_not_a_date_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(MmlocksError, match="Write 2026-12-24"):
        parsed_due(text)
