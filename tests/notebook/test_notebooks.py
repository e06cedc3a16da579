"""The notebooks: in shape, up to date, the same at every run, and graded by nbval as the course promises."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mmlocks.labs import lab_named
from tools import notebooks

REPOSITORY = Path(__file__).resolve().parents[2]
ALL = sorted(
    path
    for folder in ("lessons", "solutions", "exercises")
    for path in (REPOSITORY / folder).glob("*.ipynb")
)
EXERCISES = sorted((REPOSITORY / "exercises").glob("*.ipynb"))
# No file of the learner's folder may take part: no conftest, no configuration.
NBVAL = [
    "-m",
    "pytest",
    "--nbval-lax",
    "--nbval-current-env",
    "--noconftest",
    "-c",
    "/dev/null",
    "-p",
    "no:cacheprovider",
    "--color=no",
    "-q",
]


def read(path: Path) -> notebooks.Notebook:
    return json.loads(path.read_text(encoding="utf-8"))


def named(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def nbval(path: Path) -> tuple[list[int], str]:
    """The numbers of the code cells that fail, and what was printed."""
    done = subprocess.run(
        [sys.executable, *NBVAL, str(path)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=path.parent,
        check=False,
    )
    return [
        int(number) for number in re.findall(r"^FAILED .*::Cell (\d+)", done.stdout, re.MULTILINE)
    ], done.stdout


def code_cells(path: Path) -> list[notebooks.Notebook]:
    return [cell for cell in read(path)["cells"] if cell["cell_type"] == "code"]


def test_there_is_an_exercise_for_every_solution_and_it_is_up_to_date():
    solutions = sorted((REPOSITORY / "solutions").glob("*.ipynb"))
    assert [path.name for path in solutions] == [path.name for path in EXERCISES] != []
    for solution, exercise in zip(solutions, EXERCISES, strict=True):
        made = notebooks.written(notebooks.exercise_from(read(solution)))
        assert exercise.read_text(encoding="utf-8") == made, (
            "run: python tools/notebooks.py --exercises"
        )


@pytest.mark.parametrize("path", EXERCISES, ids=named)
def test_exercises_hold_no_solution_no_output_and_start_from_the_release_of_the_lab(path):
    from mmlocks.mm.source import release_code

    text = path.read_text(encoding="utf-8")
    assert "SOLUTION" not in text
    assert not any(cell["outputs"] for cell in code_cells(path))
    lab = lab_named(path.stem.split("_")[0])
    answers = [cell for cell in code_cells(path) if not cell["metadata"]["nbgrader"]["locked"]]
    given = "".join("".join(cell["source"]) for cell in answers)
    for function in lab.functions:
        body = release_code(function, lab.release).split("\n", 1)[1]
        assert body.strip() in given, f"{function} is not that of {lab.release}"


@pytest.mark.parametrize("path", ALL, ids=named)
def test_notebooks_keep_their_shape(path):
    notebook = read(path)
    assert len(notebook["cells"]) <= 45
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    for cell in code_cells(path):
        assert len(cell["source"]) <= 20, "".join(cell["source"])
    assert path.stat().st_size < 400_000


@pytest.mark.parametrize("path", [path for path in ALL if "lab" in path.name], ids=named)
def test_nbgrader_can_take_the_labs(path):
    """Schema 3 of nbgrader's metadata, which allows no keys of one's own."""
    lab = lab_named(path.stem.split("_")[0])
    ids, points = [], {}
    for cell in read(path)["cells"]:
        data = dict(cell["metadata"]["nbgrader"])
        graded = data["grade"]
        assert set(data) == {
            "schema_version",
            "grade",
            "solution",
            "locked",
            "task",
            "grade_id",
        } | ({"points"} if graded else set())
        assert data["schema_version"] == 3
        assert re.fullmatch(r"[A-Za-z0-9_-]+", data["grade_id"])
        assert data["locked"] or not graded, "nbgrader restores what a learner did to a locked cell"
        ids.append(data["grade_id"])
        if graded:
            points[data["grade_id"]] = data["points"]
    assert len(set(ids)) == len(ids)
    assert points == {f"check_{check.name}": check.points for check in lab.checks}


@pytest.mark.parametrize("path", [path for path in ALL if "lab" in path.name], ids=named)
def test_nbgrader_hands_out_the_exercise_as_it_is_shipped(path):
    """`nbgrader generate_assignment` clears cells with "solution", and puts a stub where a marked region was.

    So no cell is marked: an exercise stays as it is. Of a solution's region in such a cell, nbgrader says that it is no solution cell,
    and makes nothing: it must be given the exercise. Seen with nbgrader 0.9.6.
    """
    cells = read(path)["cells"]
    assert not any(cell["metadata"]["nbgrader"]["solution"] for cell in cells)
    regions = [cell for cell in cells if "BEGIN SOLUTION" in "".join(cell["source"])]
    assert bool(regions) == (path.parent.name == "solutions")
    # What a learner writes, or adds to the imports, is theirs: nbgrader puts locked cells back.
    unlocked = {
        cell["metadata"]["nbgrader"]["grade_id"]
        for cell in cells
        if not cell["metadata"]["nbgrader"]["locked"]
    }
    assert unlocked == {"setup", *lab_named(path.stem.split("_")[0]).functions}


@pytest.mark.parametrize(
    "path", [path for path in ALL if path.parent.name != "exercises"], ids=named
)
def test_stored_outputs_are_what_a_fresh_run_gives(path, tmp_path, monkeypatch):
    """To the byte: nothing in them depends on the time, the machine, or the order of anything unordered."""
    monkeypatch.setattr(notebooks, "REPOSITORY", tmp_path)
    copy = tmp_path / path.parent.name / path.name
    copy.parent.mkdir()
    shutil.copy(path, copy)
    notebooks.run(copy)
    assert copy.read_text(encoding="utf-8") == path.read_text(encoding="utf-8"), (
        "run: python tools/notebooks.py"
    )


@pytest.mark.parametrize(
    "path", [path for path in ALL if path.parent.name != "exercises"], ids=named
)
def test_lessons_and_solutions_pass_nbval(path):
    failed, said = nbval(path)
    assert failed == [], said
    assert re.search(rf"\b{len(code_cells(path))} passed", said)


@pytest.mark.parametrize("path", EXERCISES, ids=named)
def test_an_unsolved_exercise_fails_exactly_at_its_checks_each_with_a_message_that_teaches(path):
    failed, said = nbval(path)
    checks = [
        number
        for number, cell in enumerate(code_cells(path))
        if cell["metadata"]["nbgrader"]["grade"]
    ]
    assert failed == checks
    lab = lab_named(path.stem.split("_")[0])
    for check in lab.checks:
        assert check.about in said.replace("\n", " ")
    assert "Traceback (most recent call last)" not in said
    assert said.count(".replay(") >= 2  # a schedule to step through


@pytest.mark.parametrize("path", EXERCISES, ids=named)
def test_a_check_fails_its_cell_when_the_answer_is_taken_away(path, tmp_path):
    """A notebook without an answer cell must not pass, and is told so: the kernel is then 6.4.0's own, which nobody asked about."""
    notebook = read(path)
    lab = lab_named(path.stem.split("_")[0])
    notebook["cells"] = [
        cell
        for cell in notebook["cells"]
        if cell["metadata"]["nbgrader"]["grade_id"] not in lab.functions
    ]
    copy = tmp_path / path.name
    copy.write_text(notebooks.written(notebook), encoding="utf-8")
    failed, said = nbval(copy)
    assert len(failed) == len(lab.checks)
    assert said.count("no kernel function of yours is here: run your answer cell (again)") >= len(
        lab.checks
    )
    assert "To step through it yourself" not in said


@pytest.mark.parametrize("path", EXERCISES, ids=named)
def test_a_notebook_saved_with_the_name_of_another_kernel_is_judged_all_the_same(path, tmp_path):
    notebook = read(path)
    notebook["metadata"]["kernelspec"] = {
        "name": "conda-env-mine-py",
        "display_name": "mine",
        "language": "python",
    }
    copy = tmp_path / path.name
    copy.write_text(notebooks.written(notebook), encoding="utf-8")
    failed, said = nbval(copy)
    assert len(failed) == len(lab_named(path.stem.split("_")[0]).checks)
    assert "NoSuchKernel" not in said and len(said.splitlines()) < 400


@pytest.mark.slow
@pytest.mark.parametrize("path", EXERCISES, ids=named)
@pytest.mark.parametrize("at_the_end", ["exit()", "quit()", "import sys; sys.exit()", "input()"])
def test_nbval_neither_hangs_nor_loses_its_kernel_at_a_cell_that_ends_or_waits(
    path, at_the_end, tmp_path
):
    notebook = read(path)
    answers = [
        number
        for number, cell in enumerate(notebook["cells"])
        if cell["metadata"]["nbgrader"]["grade_id"] == "dup_mmap"
    ]
    notebook["cells"][answers[0]]["source"] += ["\n", "\n", f"{at_the_end}\n"]
    copy = tmp_path / path.name
    copy.write_text(notebooks.written(notebook), encoding="utf-8")
    failed, said = nbval(copy)
    assert len(failed) == 1 + len(lab_named(path.stem.split("_")[0]).checks)
    assert said.count("replaced: dup_mmap (your cell).") >= 4, (
        "the checks judge what the cell defined before"
    )


def test_unpaired_solution_markers_are_refused():
    def cell(*lines: str) -> notebooks.Notebook:
        return {"cells": [{"cell_type": "markdown", "source": list(lines), "metadata": {}}]}

    assert notebooks.exercise_from(
        cell("a\n", "### BEGIN SOLUTION\n", "b\n", "### END SOLUTION\n", "c")
    )["cells"][0]["source"] == [
        "a\n",
        "c",
    ]
    for wrong in (
        ["### BEGIN SOLUTION\n"],
        ["### END SOLUTION\n"],
        ["### BEGIN SOLUTION\n", "### BEGIN SOLUTION\n"],
    ):
        with pytest.raises(ValueError, match="SOLUTION"):
            notebooks.exercise_from(cell(*wrong))
