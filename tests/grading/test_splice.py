"""The notebook that nbval runs has the learner's code, and the course's own checks."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mmlocks.grading.masters import Notebook, master
from mmlocks.grading.splice import CHECK, grade_id, spliced
from mmlocks.labs import lab_named
from mmlocks.labs.files import read_source

LAB = lab_named("07")
MASTER = master(LAB)
ANSWER = "async def dup_mmap(mm, oldmm):\n    await mmap_write_lock(oldmm)\n"


def handed_in(*edits: Callable[[Notebook], None]) -> Notebook:
    made = copy.deepcopy(MASTER)
    the_cell(made, "dup_mmap")["source"] = ANSWER
    for edit in edits:
        edit(made)
    return made


def the_cell(notebook: Notebook, name: str) -> Notebook:
    found: list[Notebook] = [cell for cell in notebook["cells"] if grade_id(cell) == name]
    return found[0]


def code(text: str) -> Notebook:
    return {"cell_type": "code", "metadata": {}, "source": text, "outputs": []}


def prepared(tmp_path: Path, notebook: Notebook) -> Notebook:
    file = tmp_path / "lab.ipynb"
    file.write_text(json.dumps(notebook))
    return spliced(MASTER, read_source(file), LAB.functions)


def locked(notebook: Notebook) -> list[Notebook]:
    return [cell for cell in notebook["cells"] if grade_id(cell)]


def own(notebook: Notebook) -> list[str]:
    return [cell["source"] for cell in notebook["cells"] if not grade_id(cell)]


def edit_check(notebook: Notebook) -> None:
    the_cell(notebook, "check_cost")["source"] = "pass"


def delete_checks(notebook: Notebook) -> None:
    notebook["cells"] = [c for c in notebook["cells"] if not grade_id(c).startswith(CHECK)]


def duplicate_check(notebook: Notebook) -> None:
    again = copy.deepcopy(the_cell(notebook, "check_cost"))
    notebook["cells"].append({**again, "source": "pass"})


def skip_check(notebook: Notebook) -> None:
    the_cell(notebook, "check_cost")["metadata"]["tags"] = ["skip-execution", "nbval-skip"]


@pytest.mark.parametrize("edit", [edit_check, delete_checks, duplicate_check, skip_check])
def test_what_is_done_to_checks_is_undone(tmp_path: Path, edit: Callable[[Notebook], None]) -> None:
    made = prepared(tmp_path, handed_in(edit))
    given = [cell for cell in locked(MASTER) if grade_id(cell) not in LAB.functions]
    assert locked(made) == given
    assert own(made) == [ANSWER]


def test_cells_of_the_learners_own_are_taken_in_their_order(tmp_path: Path) -> None:
    def helpers(notebook: Notebook) -> None:
        notebook["cells"].insert(0, code("first = 1"))
        notebook["cells"].append(code("last = 2"))

    made = prepared(tmp_path, handed_in(helpers))
    assert own(made) == ["first = 1", ANSWER, "last = 2"]
    names = [grade_id(cell) for cell in made["cells"]]
    assert names.index("setup") < names.index("") < names.index("check_lost_store")


def test_a_check_without_its_name_is_not_run_twice(tmp_path: Path) -> None:
    def retagged(notebook: Notebook) -> None:
        for cell in notebook["cells"]:
            cell["metadata"] = {}

    made = prepared(tmp_path, handed_in(retagged))
    assert own(made) == [ANSWER]


def test_a_file_of_python_is_one_cell(tmp_path: Path) -> None:
    file = tmp_path / "answer.py"
    file.write_text(ANSWER)
    assert own(spliced(MASTER, read_source(file), LAB.functions)) == [ANSWER]
