"""Where does the line go? The stage before a learner writes code.

A lab gives the text that is broken, and some lines: those of a repair, and others that people try.
The learner puts lines into the text and moves them about. The search judges each arrangement as it
judges any answer; where the lines stood in Linux plays no part.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import mmlocks.mm
from mmlocks.labs.answer import Answer, answer_in
from mmlocks.mm.replacing import replacements_in

LEVEL = 4
"""Spaces of one level of indentation."""
SHEET = "your arrangement"
"""What messages call the text."""


@dataclass(frozen=True)
class Parsons:
    """The broken text, and the lines that may be put into it."""

    code: str
    lines: tuple[str, ...]

    def begin(self) -> Arrangement:
        """The text as it is given, with no line in it."""
        rows = [Row(line.strip(), len(line) - len(line.lstrip())) for line in self.given]
        return Arrangement(self, tuple(rows))

    @property
    def given(self) -> tuple[str, ...]:
        """The lines of the broken text."""
        return tuple(line.rstrip() for line in self.code.splitlines() if line.strip())


class Row(NamedTuple):
    """A line as it stands: its text, its spaces, and its number among the lines to be placed."""

    text: str
    indent: int
    line: int | None = None


@dataclass(frozen=True)
class Arrangement:
    """The text with some of the lines put into it. Each method gives another arrangement."""

    parsons: Parsons
    rows: tuple[Row, ...]

    def __contains__(self, line: int) -> bool:
        return any(row.line == line for row in self.rows)

    @property
    def placed(self) -> tuple[int, ...]:
        """The numbers of the lines that stand in the text, from the top."""
        return tuple(row.line for row in self.rows if row.line is not None)

    @property
    def text(self) -> str:
        """The arrangement as Python."""
        return "".join(f"{' ' * row.indent}{row.text}\n" for row in self.rows)

    def put(self, line: int, below: int = 0) -> Arrangement:
        """With that line below row `below`; where it stands already, it stays as it is."""
        if line in self:
            return self
        new = Row(self.parsons.lines[line], 0, line)
        rows = list(self.rows)
        rows.insert(below + 1, new)
        return self._settled(rows, deepest=line)

    def take(self, line: int) -> Arrangement:
        """Without that line."""
        return self._settled([row for row in self.rows if row.line != line])

    def move(self, line: int, rows: int) -> Arrangement:
        """With that line so many rows further down, or further up; it stays below the first row."""
        if line not in self:
            return self
        at = self._row(line)
        others = [row for row in self.rows if row.line != line]
        to = min(max(at + rows, 1), len(others))
        others.insert(to, self.rows[at])
        return self._settled(others, deepest=line)

    def shift(self, line: int, levels: int) -> Arrangement:
        """With that line so many levels further in, or out, as far as Python allows there."""
        if line not in self:
            return self
        rows = list(self.rows)
        at = self._row(line)
        rows[at] = rows[at]._replace(indent=rows[at].indent + LEVEL * levels)
        return self._settled(rows)

    def answer(self) -> Answer:
        """The arrangement as an answer, which the checks of the lab judge."""
        return placed_answer(self.text)

    def _row(self, line: int) -> int:
        return next(at for at, row in enumerate(self.rows) if row.line == line)

    def _settled(self, rows: Sequence[Row], deepest: int | None = None) -> Arrangement:
        """With each placed line as far in as Python allows; the line `deepest` as far as it can."""
        settled: list[Row] = []
        for at, row in enumerate(rows):
            if row.line is None:
                settled.append(row)
                continue
            above = settled[-1]
            most = above.indent + (LEVEL if above.text.endswith(":") else 0)
            following = next((other for other in rows[at + 1 :] if other.line is None), None)
            least = following.indent if following is not None else LEVEL
            least = most if above.text.endswith(":") else min(least, most)
            wanted = most if row.line == deepest else row.indent
            settled.append(row._replace(indent=min(max(wanted, least), most)))
        return Arrangement(self.parsons, tuple(settled))


def every_place(parsons: Parsons, line: int) -> list[Arrangement]:
    """Every arrangement with that one line in it."""
    found: dict[str, Arrangement] = {}
    for below in range(len(parsons.given)):
        there = parsons.begin().put(line, below)
        for levels in range(-4, 1):
            one = there.shift(line, levels)
            found.setdefault(one.text, one)
    return list(found.values())


def placed_answer(text: str) -> Answer:
    """The functions of an arranged text. The text is the lab's own, so it is run here."""

    def run() -> Mapping[str, Any]:
        names = {name: getattr(mmlocks.mm, name) for name in mmlocks.mm.__all__}
        names["__name__"] = SHEET
        linecache.cache[SHEET] = (len(text), None, text.splitlines(keepends=True), SHEET)
        exec(compile(text, SHEET, "exec", dont_inherit=True), names)  # noqa: S102  a lab's own text
        return names

    def again() -> Mapping[str, Callable[..., Any]]:
        return replacements_in(run())

    names = run()
    found = answer_in(names, lambda _name, _function: SHEET)
    return Answer(found.functions, names, found.judged, again)
