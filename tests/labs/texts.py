"""The texts of known fixes: edits of a release's functions, and whole functions.

A file of texts (fixes.patch) names the release that it edits and holds sections:

    base 6.4.3
    === given
    code that stands before each fix: imports and helpers
    === LockAfterCopy dup_mmap
    an edit of that release's dup_mmap; an empty one leaves it as it is
    === SkipTheFirstVma dup_mmap like LockOnlyTheFirstVma
    an edit of the dup_mmap of another fix
    === NoGate
    whole functions

An edit has the lines of a diff: those that begin with a minus or a space are found in the text,
where they must stand exactly once, and those with a plus take their place. A line `@@` separates
two edits. Comments of the release's text are left out.
"""

from __future__ import annotations
import __future__

import ast
import linecache
import re
from pathlib import Path
from typing import Any, NamedTuple

import mmlocks.mm
from mmlocks.machine import together
from mmlocks.mm.source import release_code

HEAD = re.compile(r"^=== (\w+)(?: (\w+)(?: like (\w+))?)?\n", re.MULTILINE)
ANNOTATIONS = __future__.annotations.compiler_flag


class Section(NamedTuple):
    """A part of a fix: whole functions, or an edit of one function of the release or a fix."""

    body: str
    function: str | None
    like: str | None


class Texts:
    """A file of texts."""

    def __init__(self, file: Path) -> None:
        text = file.read_text(encoding="utf-8")
        heads = list(HEAD.finditer(text))
        self.file = file
        self.base = re.findall(r"^base (\S+)$", text[: heads[0].start()], re.MULTILINE)[0]
        self.sections: dict[str, list[Section]] = {}
        ends = [head.start() for head in heads[1:]] + [len(text)]
        for head, end in zip(heads, ends, strict=True):
            name, function, like = head.groups()
            section = Section(text[head.end() : end], function, like)
            self.sections.setdefault(name, []).append(section)
        self.given = "".join(section.body for section in self.sections.pop("given", []))

    def code(self, fix: str) -> str:
        """The functions of a fix, whole."""
        return "\n".join(
            section.body
            if section.function is None
            else edited(self._original(section.function, section.like), section.body)
            for section in self.sections[fix]
        )

    def _original(self, function: str, like: str | None) -> str:
        if like is None:
            lines = release_code(function, self.base).splitlines()
            return "\n".join(line for line in lines if not line.lstrip().startswith("#"))
        code = self.code(like)
        for node in ast.parse(code).body:
            if isinstance(node, ast.AsyncFunctionDef) and node.name == function:
                return ast.get_source_segment(code, node) or ""
        raise AssertionError(f"{self.file.name}: {like} has no {function}")

    def names(self, fix: str) -> dict[str, Any]:
        """What a notebook with this fix has in its globals."""
        names = {name: getattr(mmlocks.mm, name) for name in mmlocks.mm.__all__}
        names |= {"__name__": "answer", "together": together}
        for part, text in (("given", self.given), (fix, self.code(fix))):
            file = f"{part} of {self.file}"
            linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
            exec(compile(text, file, "exec", ANNOTATIONS, dont_inherit=True), names)
        return names


def edited(text: str, edit: str) -> str:
    """A text with the lines of an edit put in their places."""
    lines = text.splitlines()
    for hunk in edit.split("@@\n") if edit else []:
        rows = hunk.splitlines()
        old = [row[1:] for row in rows if row[0] != "+"]
        new = [row[1:] for row in rows if row[0] != "-"]
        found = [at for at in range(len(lines)) if lines[at : at + len(old)] == old]
        assert len(found) == 1, f"{len(found)} places for this edit:\n{hunk}in\n{text}"
        lines[found[0] : found[0] + len(old)] = new
    return "\n".join(lines) + "\n"
