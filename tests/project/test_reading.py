"""The promise that the model can be read in an evening."""

import ast
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
MM = REPOSITORY / "mmlocks" / "mm"
PATH = ("fork", "fault", "stack", "vma_lock")


def closure(names: tuple[str, ...]) -> set[Path]:
    """These files of the model, all that they import, and what that imports, types included."""
    found: set[Path] = set()
    todo = [MM / f"{name}.py" for name in names]
    while todo:
        file = todo.pop()
        if file in found or not file.exists():
            continue
        found.add(file)
        imported = [
            node.module
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            if isinstance(node, ast.ImportFrom) and node.module
        ]
        todo += [
            REPOSITORY / (name.replace(".", "/") + ".py")
            for name in imported
            if name.startswith("mmlocks.mm.")
        ]
    return found


def test_the_bugs_of_july_2023_can_be_read_in_an_evening() -> None:
    lines = {
        file.stem: len(file.read_text(encoding="utf-8").splitlines()) for file in closure(PATH)
    }
    assert sum(lines.values()) <= 2950, (sum(lines.values()), lines)
