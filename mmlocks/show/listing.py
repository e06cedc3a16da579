"""The source of the function that a CPU is in, as its release has it, with the line marked."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from mmlocks.machine.task import Place
from mmlocks.mm.source import Line, release_lines
from mmlocks.releases import Release

FunctionNode = ast.AsyncFunctionDef | ast.FunctionDef


@dataclass(frozen=True)
class Listing:
    """A function: its purpose, its lines with their numbers, and the current line's number."""

    function: str
    spot: str
    purpose: str
    lines: tuple[Line, ...]
    current: int

    def __str__(self) -> str:
        """Plain text, with `>` at the current line."""
        return "".join(
            f"{'>' if line.number == self.current else ' '}{line.number:>4}  {line.text}\n"
            for line in self.lines
        )


def listing(place: Place, release: Release) -> Listing:
    """The function at `place`, without its docstring and without patches that `release` lacks.

    Functions from notebook cells are found too. A function without source has no lines.
    """
    text = "".join(linecache.getlines(place.file))
    purpose, lines = _function(text, place.function, place.line, release)
    return Listing(place.function, place.spot, purpose, lines, place.line)


def line_at(place: Place) -> str:
    """The line of source at a place, stripped."""
    return linecache.getline(place.file, place.line).strip()


@lru_cache(maxsize=256)
def _function(text: str, name: str, line: int, release: Release) -> tuple[str, tuple[Line, ...]]:
    found = _find(text, name, line)
    if found is None:
        return "", ()
    first = min([found.lineno, *(decorator.lineno for decorator in found.decorator_list)])
    source = "\n".join(text.splitlines()[first - 1 : found.end_lineno])
    folded = range(0)
    purpose = ast.get_docstring(found) or ""
    if purpose and len(found.body) > 1:
        folded = range(found.body[0].lineno, (found.body[0].end_lineno or found.body[0].lineno) + 1)
    lines = tuple(
        kept for kept in release_lines(source, release, first) if kept.number not in folded
    )
    return purpose.partition("\n\n")[0].replace("\n", " "), lines


def _find(text: str, name: str, line: int) -> FunctionNode | None:
    """The innermost function of that name around a line."""
    best: FunctionNode | None = None
    for node in _functions(text):
        if node.name == name and node.lineno <= line <= (node.end_lineno or 0):
            best = node
    return best


@lru_cache(maxsize=64)
def _functions(text: str) -> tuple[FunctionNode, ...]:
    """All functions in a text, outer ones first."""
    try:
        tree = ast.parse(_without_magics(text))
    except SyntaxError:
        return ()
    return tuple(_walk(tree))


def _walk(tree: ast.AST) -> Iterator[FunctionNode]:
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef):
            yield node


def _without_magics(text: str) -> str:
    """A cell's text with IPython's own lines (`%time`, `!ls`) as comments: Python can parse it."""
    return "\n".join(
        "#" + line[1:] if line[:1] in ("%", "!") else line for line in text.splitlines()
    )
