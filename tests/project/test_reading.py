"""The promise that the model can be read in an evening."""

import ast
import inspect
import textwrap
from pathlib import Path

import pytest

from mmlocks.mm.stubs import kernel_text

REPOSITORY = Path(__file__).resolve().parents[2]
MM = REPOSITORY / "mmlocks" / "mm"
PATH = ("fork", "fault", "stack", "vma_lock")


def closure(names: tuple[str, ...]) -> set[Path]:
    """These files of the model and all that they import, directly or not, also for types alone.

    What a step does at once (`mm/steps/`) is below: kernel text makes steps by name.
    """
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
    assert sum(lines.values()) <= 2150, (sum(lines.values()), lines)


def prototypes() -> list[tuple[str, ast.AsyncFunctionDef]]:
    """The kernel functions that a file declares, because they stand in a file that imports it."""
    return [
        (file.stem, node)
        for file in MM.rglob("*.py")
        for block in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.AsyncFunctionDef)
    ]


@pytest.mark.parametrize(
    ("file", "declared"), prototypes(), ids=lambda part: getattr(part, "name", part)
)
def test_a_declared_function_is_a_kernel_function_with_the_same_arguments(
    file: str, declared: ast.AsyncFunctionDef
) -> None:
    text = ast.parse(textwrap.dedent(inspect.getsource(kernel_text()[declared.name]))).body[0]
    assert isinstance(text, ast.AsyncFunctionDef)
    assert ast.unparse(declared.args) == ast.unparse(text.args)
    assert ast.unparse(declared.returns or ast.Constant(0)) == ast.unparse(
        text.returns or ast.Constant(1)
    )
