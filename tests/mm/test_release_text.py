"""A function's text of one release, as learners see it, is complete and true: it compiles, every name in it is there, and all of it can be reached."""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest

from mmlocks.mm.source import release_code, release_lines, release_source
from mmlocks.mm.stubs import kernel_text
from mmlocks.releases import LAYOUT_RULES, NEWEST, RELEASES, Release
from tests.mm.test_exports import star

YOUNGER = Release("younger", "", NEWEST.patches | frozenset(LAYOUT_RULES.values()))
"""No release of the course has the layout rules that the kernel underneath may have; their text is Python all the same."""
ALL = {**RELEASES, YOUNGER.name: YOUNGER}

OTHER_RELEASES = re.compile(
    r"\b[2-6]\.\d+\b(?!\.?\d)|\b\d\.\d+\.\d+|\b[0-9a-f]{12}\b|\b(up to|before|since|until) \d",
    re.IGNORECASE,
)
"""How a text would speak of releases and commits."""


def texts(release: str) -> Iterator[tuple[str, str]]:
    """Each kernel function's name and text."""
    for name in kernel_text():
        yield name, release_source(name, ALL[release])


def unreachable(block: list[ast.stmt]) -> Iterator[int]:
    """The lines of statements that follow one by which control never goes on."""
    for number, statement in enumerate(block):
        for inner in ("body", "orelse", "finalbody"):
            yield from unreachable(getattr(statement, inner, []))
        if not goes_on(statement) and block[number + 1 :]:
            yield block[number + 1].lineno


def goes_on(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.If):
        return goes_on_through(statement.body) or goes_on_through(statement.orelse)
    if isinstance(statement, ast.While) and ast.unparse(statement.test) == "True":
        return any(isinstance(node, ast.Break) for node in ast.walk(statement))
    return not isinstance(statement, ast.Return | ast.Raise | ast.Continue | ast.Break)


def goes_on_through(block: list[ast.stmt]) -> bool:
    return all(map(goes_on, block))


def unknown_names(text: str, names: dict[str, Any]) -> set[str]:
    """The names in a function's text, annotations included, that are neither its own nor in `names` nor Python's."""
    nodes = list(ast.walk(ast.parse(text)))
    own = {node.arg for node in nodes if isinstance(node, ast.arg)}
    own |= {
        node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    return (
        {node.id for node in nodes if isinstance(node, ast.Name)}
        - own
        - names.keys()
        - set(dir(builtins))
    )


@pytest.mark.parametrize("release", ALL)
def test_every_text_runs_where_a_notebook_would_run_it(release: str) -> None:
    """Annotations and defaults are evaluated when the `def` runs."""
    for name, text in texts(release):
        names = star()
        assert not unknown_names(text, names), name
        exec(compile(text, name, "exec"), names)
        exec(compile(release_code(name, ALL[release]), name, "exec"), names)


@pytest.mark.parametrize("release", ALL)
def test_no_text_has_what_cannot_be_reached(release: str) -> None:
    found = {name: list(unreachable(ast.parse(text).body)) for name, text in texts(release)}
    assert not {name: lines for name, lines in found.items() if lines}


@pytest.mark.parametrize("release", ALL)
def test_no_text_speaks_of_releases_or_commits(release: str) -> None:
    """Inside a function, and in what its docstring says that it is for. The other sections of a docstring are not part of the text."""
    found = [
        (name, line)
        for name, text in texts(release)
        for line in text.splitlines()
        if OTHER_RELEASES.search(line)
    ]
    assert not found


def test_expand_stack_of_the_release_with_the_bug_ends_where_it_ended_then() -> None:
    text = release_code("expand_stack", "6.3")
    assert text.endswith("    await mmap_read_unlock(mm)\n    return None\n")
    assert "mmap_write_lock" not in text
    assert "mmap_write_lock" in release_code("expand_stack", "6.4.1")


def test_a_docstring_keeps_what_the_function_is_for() -> None:
    text = release_source("expand_downwards", "6.4.1")
    assert ast.get_docstring(ast.parse(text).body[0]) == (  # type: ignore[arg-type]
        "Move a VMA's start down to the page of `address`. Returns 0, or minus an errno.\n\n"
        "A gap stays between the stack and accessible memory below it, so that a stack does not run into\n"
        "other data unnoticed. Another stack below needs no gap."
    )
    assert release_source("fields_of", "6.4.1").count('"""') == 2


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ("if FORK_LOCKS_VMAS:\n    a()\nelse:\n    return\n# why\nb()", "return"),
        ("if not FORK_LOCKS_VMAS:\n    raise E\nb()", "raise E"),
        ("if not FORK_LOCKS_VMAS:\n    if x:\n        return 1\n    else:\n        return 2\nb()", "if x:\n    return 1\nelse:\n    return 2"),
        ("if not FORK_LOCKS_VMAS:\n    if x:\n        return 1\nb()", "if x:\n    return 1\nb()"),
        ("while x:\n    if not FORK_LOCKS_VMAS:\n        continue\n    a()\nb()", "while x:\n    continue\nb()"),
        ("if not FORK_LOCKS_VMAS:\n    while True:\n        a()\nb()", "while True:\n    a()"),
        ("if not FORK_LOCKS_VMAS:\n    while True:\n        break\nb()", "while True:\n    break\nb()"),
        ("if FORK_LOCKS_VMAS:\n    return\nb()", "b()"),
        ("if x:\n    return\n    b()\nc()", "if x:\n    return\n    b()\nc()"),
    ],
)  # fmt: skip
def test_what_stands_behind_the_end_of_a_release_is_cut(body: str, kept: str) -> None:
    """A text that asks for no patch, as a learner's, stays as it is."""
    text = "async def f():\n" + textwrap.indent(body, "    ")
    lines = [line.text for line in release_lines(text, "6.4.0")]
    assert lines == ["async def f():", *textwrap.indent(kept, "    ").splitlines()]
