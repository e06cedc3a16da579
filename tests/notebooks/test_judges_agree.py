"""The check cells give in a real kernel what `mmlocks check` gives: by nbval's rule, and by nbgrader's, whose score an stderr spoils."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from mmlocks.labs import lab_named
from tests.notebooks.cases import CASES, CHECKS, EXERCISE, Case

POINTS = {f"check_{check.name}": check.points for check in lab_named("07").checks}
NAMES = [EXERCISE["cells"][at]["metadata"]["nbgrader"]["grade_id"] for at in CHECKS]


def outputs(path: Path) -> dict[str, list[nbformat.NotebookNode]]:
    """What each check cell put out, by its name, where every cell is run, failing or not."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = [
        cell for cell in notebook.cells if ".verdict(" not in cell.source
    ]  # it repeats the checks
    NotebookClient(
        notebook,
        timeout=120,
        allow_errors=True,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    cells = [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code" and cell.source.rstrip().endswith(("globals())", ")", "found"))
    ]
    cells = [
        cell
        for cell in cells
        if any(f'check("{name.removeprefix("check_")}"' in cell.source for name in NAMES)
    ]
    return {name: cell.outputs for name, cell in zip(NAMES, cells[-len(NAMES) :], strict=True)}


OFTEN = {
    "solved", "unsolved", "helper_cell_that_fails", "setup_again_after_the_answer", "answer_cell_twice_the_second_broken",
    "unknown_magic_on_the_checks", "checks_marked_to_raise", "checks_without_globals", "await_at_the_left_margin", "autoreload", "dataclass",
    "display_and_shell_of_the_namespace", "exit_in_the_function", "input_in_the_function", "logging_in_the_function",
    "print_to_stderr_in_the_function", "metadata_stripped",
}  # fmt: skip
"""One of each kind. Starting a kernel and judging in it takes seconds, so the others are `long`."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=name, marks=() if name in OFTEN else pytest.mark.long)
        for name, case in CASES.items()
        if case.marks is not None
    ],
)
def test_check_cells_in_a_kernel_earn_what_the_case_says(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "lab.ipynb"
    path.write_text(json.dumps(case.made), encoding="utf-8")
    shown = outputs(path)
    failed = {name for name, found in shown.items() if any(one.output_type == "error" for one in found)}
    heard = {name for name, found in shown.items() if any(one.get("name") == "stderr" for one in found)}
    nbval = sum(points for name, points in POINTS.items() if name not in failed)
    nbgrader = sum(points for name, points in POINTS.items() if name not in failed | heard)
    assert (nbval, nbgrader) == case.marks, shown
    if case.found:
        assert case.marks == (case.points, case.points), "the case itself says that judges differ"
