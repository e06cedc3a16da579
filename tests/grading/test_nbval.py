"""nbval is a second opinion: it agrees on honest answers, and where it does not, a person looks."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from mmlocks.grading import nbval_run
from mmlocks.grading.batch import Terms, grade
from mmlocks.grading.masters import master
from mmlocks.grading.result import Result
from mmlocks.grading.splice import grade_id
from mmlocks.grading.submissions import collect
from mmlocks.labs import lab_named

LAB = lab_named("07")
MASTER = master(LAB)
GIVEN = "".join(next(c["source"] for c in MASTER["cells"] if grade_id(c) == "dup_mmap"))
COPY = "        await copy_page_range(tmp, mpnt)\n"
LOCK = "        await vma_start_write(mpnt)\n"
RIGHT = GIVEN.replace(COPY, LOCK + COPY)
WIDGET = "import ipywidgets\nipywidgets.IntSlider()\n"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not nbval_run.available(), reason="needs nbval, ipykernel and bubblewrap"),
]


def graded(tmp_path: Path, source: str) -> Result:
    made = copy.deepcopy(MASTER)
    for cell in made["cells"]:
        if grade_id(cell) == "dup_mmap":
            cell["source"] = source
    folder = tmp_path / "in" / "ada"
    folder.mkdir(parents=True)
    (folder / "lab07.ipynb").write_text(json.dumps(made))
    found = collect(tmp_path / "in", LAB.name, None).submissions
    (result,) = grade(found, Terms(LAB.name, verdict_only=True, nbval=True), tmp_path / "out")
    return result


@pytest.mark.parametrize(
    "source", [RIGHT, GIVEN, GIVEN.replace(COPY, COPY + LOCK), WIDGET + RIGHT],
    ids=["right", "given", "late lock", "widget"],
)  # fmt: skip
def test_nbval_agrees_on_honest_answers(tmp_path: Path, source: str) -> None:
    result = graded(tmp_path, source)
    assert result.nbval == {"points": result.points, "agrees": True}, result.eye
    assert result.points == (LAB.points if LOCK + COPY in source else 0)


def test_a_check_that_was_replaced_is_reported_and_gives_no_mark(tmp_path: Path) -> None:
    forged = f"{GIVEN}\ntype(lab07).check = lambda *_: True\n"
    result = graded(tmp_path, forged)
    assert result.points == 0
    assert result.nbval == {"points": LAB.points, "agrees": False}
    assert any("suspicious" in reason for reason in result.eye)


@pytest.mark.parametrize("end", ["import os\nos._exit(0)", "while True: pass"])
def test_a_dead_kernel_and_an_endless_cell_give_nothing(
    tmp_path: Path, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nbval_run, "CELL_SECONDS", 3)
    monkeypatch.setattr(nbval_run, "WALL", 15.0)
    made = copy.deepcopy(MASTER)
    for cell in made["cells"]:
        if grade_id(cell) == "dup_mmap":
            cell["source"] = f"{end}\n{RIGHT}"
    assert nbval_run.run(made) == frozenset()


def test_a_report_counts_only_items_that_passed_once() -> None:
    def report(*cells: str) -> bytes:
        return f"<testsuites>{''.join(cells)}</testsuites>".encode()

    fine, skipped = '<testcase name="Cell 3"/>', '<testcase name="Cell 3"><skipped/></testcase>'
    assert nbval_run.passed_in(report(fine), MASTER) == {"lost_store"}
    for bad in (
        report(),
        report(skipped),
        report(fine, fine),
        b"<!DOCTYPE x>" + report(fine),
        b"<",
    ):
        assert nbval_run.passed_in(bad, MASTER) == frozenset()
