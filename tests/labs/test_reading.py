"""`mmlocks check` reads what people hand in: the right verdict, and what was judged, or why nothing was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.notebook.cases import CASES, Case, Notebook

pytestmark = pytest.mark.usefixtures("proved_once")

pytestmark = pytest.mark.usefixtures("proved_once")


def check(path: Path, *options: str) -> Result:
    from mmlocks.cli.app import app

    return CliRunner().invoke(
        app, ["check", "07", str(path), *options], catch_exceptions=False, env={"COLUMNS": "120"}
    )


def put(folder: Path, made: Notebook, name: str = "lab.ipynb") -> Path:
    path = folder / name
    path.write_text(json.dumps(made, ensure_ascii=False), encoding="utf-8")
    return path


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
def test_what_is_handed_in_gets_its_verdict_and_says_what_was_judged(
    case: Case, tmp_path: Path
) -> None:
    done = check(put(tmp_path, case.made), "--json")
    assert "Traceback" not in done.output
    if not case.found:
        assert (done.exit_code, done.stdout) == (2, "")
        assert len(done.stderr.splitlines()) == 1, done.stderr
        said = done.stderr
        assert (
            "Nothing was judged" in said
            or "An answer defines" in said
            or "must be a function" in said
        )
    else:
        found = json.loads(done.stdout)
        assert (found["finding"], found["points"]) == (case.found, case.points), found
        said = " ".join([found["judged"], *(one["message"] for one in found["checks"])])
    for words in case.says:
        assert words in said, said


@pytest.mark.parametrize(
    "name",
    [
        "solved",
        "unsolved",
        "hint_in_the_answer_cell",
        "check_in_the_answer_cell",
        "failing_check_in_the_answer_cell",
        "checks_without_globals",
        "results_looked_at_in_check_cells",
    ],
)
def test_the_labs_own_calls_do_nothing_while_a_file_is_read(name: str, tmp_path: Path) -> None:
    found = json.loads(check(put(tmp_path, CASES[name].made), "--json").stdout)
    assert found["judged"] == "replaced: dup_mmap (cell 4).", "no cell of it failed"
