"""The text of a kernel function as one release had it.

Functions are written once, with lines under `if SOME_PATCH:`. Here those lines are taken out, or
put where the `if` stood. So 6.4.0's dup_mmap reads as it did before the later lock. Comments inside
functions are part of that text, so they do not speak of other releases; docstrings may, in their
sections.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from mmlocks import releases
from mmlocks.mm.stubs import kernel_text
from mmlocks.releases import Patch, Release, release_named

PATCH_NAMES = {name: patch for name, patch in vars(releases).items() if isinstance(patch, Patch)}
"""The patches by the names that kernel code uses: `FORK_LOCKS_VMAS`."""


SECTION = re.compile(r"\s*(Kernel|Locks|Races|Returns|Raises|Differs):")
"""Begins a section of a kernel function's docstring."""


class Line(NamedTuple):
    """A line of source: its number in the file, and its text for the release."""

    number: int
    text: str


def release_source(function: Callable[..., Any] | str, release: Release | str) -> str:
    """The source of a function, or of the kernel function of that name, as `release` had it.

    It is valid Python. Its docstring says only what the function is for: the sections on locks and
    races speak of other releases, so they are left out.
    """
    lines, docstring = _parts(function, release)
    if docstring is None:
        return "".join(lines)
    told = lines[docstring.start : docstring.stop]
    sections = next((number for number, line in enumerate(told) if SECTION.match(line)), len(told))
    if sections < len(told):
        purpose = "".join(told[:sections]).rstrip()
        indent = " " * (len(told[0]) - len(told[0].lstrip()))
        told = [purpose, f"\n{indent}" if "\n" in purpose else "", '"""\n']
    return "".join([*lines[: docstring.start], *told, *lines[docstring.stop :]])


def release_code(function: Callable[..., Any] | str, release: Release | str) -> str:
    """The same without the docstring, for a text that explains the code itself."""
    lines, docstring = _parts(function, release)
    if docstring is not None:
        del lines[docstring.start : docstring.stop]
    return "".join(lines)


def _parts(
    function: Callable[..., Any] | str, release: Release | str
) -> tuple[list[str], range | None]:
    """The lines of a function in a release, and which of them are its docstring."""
    if isinstance(function, str):
        function = kernel_text()[function]
    source, first = inspect.getsourcelines(function)
    lines = [f"{line.text}\n" for line in release_lines("".join(source), release, first)]
    found = ast.parse("".join(lines)).body[0]
    assert isinstance(found, ast.AsyncFunctionDef | ast.FunctionDef)
    if ast.get_docstring(found) is None:
        return lines, None
    return lines, range(found.body[0].lineno - 1, found.body[0].end_lineno or found.body[0].lineno)


def release_lines(source: str, release: Release | str, first: int = 1) -> list[Line]:
    """The lines of one function's source that `release` has, dedented; `first` is its first number.

    Lines that the release cannot reach, behind the `return` of a patch that it has or lacks, are
    left out. A text that asks for no patch is the same in every release.
    """
    if isinstance(release, str):
        release = release_named(release)
    source = textwrap.dedent(source)
    lines = [Line(number, text) for number, text in enumerate(source.splitlines(), 1)]
    tree, cut = ast.parse(source), _Cut(lines, release)
    kept = cut.body(tree.body, 1, len(lines)) if cut.asks(tree) else lines
    return [Line(line.number + first - 1, line.text) for line in kept]


class _Cut:
    """Follows statements and the lines between them, and decides which remain."""

    def __init__(self, lines: list[Line], release: Release) -> None:
        self._lines = lines
        self._release = release

    def asks(self, tree: ast.AST) -> bool:
        """Whether a text asks for any patch."""
        return any(
            isinstance(node, ast.stmt) and self._choice(node) is not None for node in ast.walk(tree)
        )

    def body(self, statements: list[ast.stmt], start: int, end: int) -> Iterator[Line]:
        """Lines `start` to `end`, which hold `statements` and the comments around them."""
        for statement in statements:
            choice = self._choice(statement)
            first, last = statement.lineno, statement.end_lineno or statement.lineno
            if choice is not None:
                yield from self._plain(start, first - 1)
                assert isinstance(statement, ast.If)
                yield from self._chosen(statement, choice)
                start = last + 1
            else:
                for block in _blocks(statement):
                    head = block[0].lineno
                    yield from self._plain(start, head - 1)
                    yield from self.body(block, head, block[-1].end_lineno or head)
                    if self._empty(block):
                        yield Line(head, " " * block[0].col_offset + "pass")
                    start = (block[-1].end_lineno or head) + 1
            if self._ends(statement):
                yield from self._plain(start, last)
                return
        yield from self._plain(start, end)

    def _chosen(self, statement: ast.If, taken: bool) -> Iterator[Line]:
        """The branch that the release has, moved to where the `if` stood, with its comments."""
        end = statement.body[-1].end_lineno or statement.lineno
        branch, start = (
            (statement.body, statement.lineno + 1) if taken else (statement.orelse, end + 1)
        )
        if not branch:
            return
        shift = branch[0].col_offset - statement.col_offset
        for line in self.body(branch, start, branch[-1].end_lineno or start):
            text = line.text
            if line.number < branch[0].lineno and text.strip() == "else:":
                continue
            if line.number == branch[0].lineno and text.lstrip().startswith("elif "):
                text = text.replace("elif ", "if ", 1)
            yield Line(line.number, text[shift:] if text[:shift].isspace() else text)

    def _plain(self, start: int, end: int) -> Iterator[Line]:
        yield from self._lines[start - 1 : end]

    def _empty(self, block: list[ast.stmt]) -> bool:
        """Whether nothing of a block remains."""
        for statement in block:
            choice = self._choice(statement)
            if choice is None:
                return False
            assert isinstance(statement, ast.If)
            if not self._empty(statement.body if choice else statement.orelse):
                return False
        return True

    def _ends(self, statement: ast.stmt) -> bool:
        """Whether this release never reaches what follows the statement in its block."""
        if isinstance(statement, ast.Return | ast.Raise | ast.Continue | ast.Break):
            return True
        if isinstance(statement, ast.While):
            forever = isinstance(statement.test, ast.Constant) and bool(statement.test.value)
            return forever and not any(isinstance(node, ast.Break) for node in ast.walk(statement))
        if not isinstance(statement, ast.If):
            return False
        choice = self._choice(statement)
        taken = (
            [statement.body, statement.orelse]
            if choice is None
            else [statement.body if choice else statement.orelse]
        )
        return all(any(map(self._ends, block)) for block in taken)

    def _choice(self, statement: ast.stmt) -> bool | None:
        """Whether the release takes `if PATCH:` or `if not PATCH:`; None for other statements."""
        if not isinstance(statement, ast.If) or self._lines[
            statement.lineno - 1
        ].text.lstrip().startswith("elif "):
            return None
        test, wanted = statement.test, True
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            test, wanted = test.operand, False
        if not isinstance(test, ast.Name) or test.id not in PATCH_NAMES:
            return None
        return (PATCH_NAMES[test.id] in self._release.patches) is wanted


def _blocks(statement: ast.stmt) -> list[list[ast.stmt]]:
    """The blocks of statements inside a statement, in the order of their lines."""
    found: list[list[ast.stmt]] = []
    for name in ("body", "handlers", "orelse", "finalbody", "cases"):
        block = getattr(statement, name, None) or []
        found += (
            [part.body for part in block]
            if name in ("handlers", "cases")
            else [block]
            if block
            else []
        )
    return sorted(found, key=lambda block: block[0].lineno)
