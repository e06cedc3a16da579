"""Bring the notebooks up to date: run lessons and solutions, and make the exercises.

    python tools/notebooks.py             run everything, write everything
    python tools/notebooks.py --exercises only make the exercises (a moment, no Jupyter needed)

An exercise is its solution without outputs, and without the lines between `### BEGIN SOLUTION` and
`### END SOLUTION`. Nothing replaces these lines. The learner starts with the kernel before the fix.
"""

import argparse
import copy
import json
import re
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"

Notebook = dict[str, Any]


def exercise_from(solution: Notebook) -> Notebook:
    """The exercise that a solution notebook becomes.

    Raises ValueError for markers that do not pair.
    """
    exercise = copy.deepcopy(solution)
    for cell in exercise["cells"]:
        source = "".join(cell["source"])
        cell["source"] = _without_solution(source).splitlines(keepends=True)
        if cell["cell_type"] == "code":
            cell["outputs"] = []
            cell["execution_count"] = None
            cell["metadata"].pop("execution", None)
    return exercise


def _without_solution(source: str) -> str:
    kept, inside = [], False
    for line in source.splitlines(keepends=True):
        if line.strip() in (BEGIN, END):
            if (line.strip() == BEGIN) == inside:
                raise ValueError(f"{line.strip()} where none belongs: {source[:60]!r}")
            inside = not inside
        elif not inside:
            kept.append(line)
    if inside:
        raise ValueError(f"{BEGIN} without {END}: {source[:60]!r}")
    return "".join(kept)


def written(notebook: Notebook) -> str:
    """The text of a notebook file, always the same for the same notebook."""
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def make_exercises() -> None:
    """Write exercises/ from solutions/."""
    for solution in sorted((REPOSITORY / "solutions").glob("*.ipynb")):
        exercise = REPOSITORY / "exercises" / solution.name
        exercise.write_text(
            written(exercise_from(json.loads(solution.read_text(encoding="utf-8")))),
            encoding="utf-8",
        )
        print(f"{exercise.relative_to(REPOSITORY)} made from {solution.relative_to(REPOSITORY)}")


def run(path: Path) -> None:
    """Run a notebook in its folder. Keep of its outputs what is the same in each run."""
    import nbformat
    from nbclient import NotebookClient

    # nbformat has no types for these two functions.
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(
        notebook,
        timeout=300,
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            # A widget lives only as long as its kernel; the picture and the text beside it stay.
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
            if "traceback" in output:
                output["traceback"] = [
                    re.sub(r"\x1b\[[0-9;]*m", "", line) for line in output["traceback"]
                ]
    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = {"name": "python"}
    text = nbformat.writes(notebook)  # type: ignore[no-untyped-call]
    path.write_text(written(json.loads(text)), encoding="utf-8")
    print(f"{path.relative_to(REPOSITORY)} run")


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(
        description="Run lessons and solutions, and make the exercises."
    )
    parser.add_argument("--exercises", action="store_true", help="only make the exercises")
    if not parser.parse_args().exercises:
        for folder in ("lessons", "solutions"):
            for path in sorted((REPOSITORY / folder).glob("*.ipynb")):
                run(path)
    make_exercises()
    return 0


if __name__ == "__main__":
    sys.exit(main())
