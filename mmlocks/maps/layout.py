"""Where everything stands in the picture of an address space, and what it says.

128 TiB with a few clusters of areas cannot be drawn to scale. Each area is as tall as a line of
text, and grows with the logarithm of its size. A gap is a break with its size beside it. High
addresses are at the top. `picture` paints the layout.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from math import log2
from typing import NamedTuple

from mmlocks.maps.blocks import Block, blocks, purpose_of_pair
from mmlocks.maps.describe import BSS, THREAD_ARENA, THREAD_STACK, describe
from mmlocks.maps.kinds import (
    ANONYMOUS,
    FILE,
    KINDS,
    LIBRARY,
    NO_ACCESS,
    PROGRAM,
    AreaKind,
    Described,
    base_name,
    human,
    shorten,
    size_of,
    visible,
)
from mmlocks.maps.names import thread
from mmlocks.maps.text import GUESS, gap_words
from mmlocks.mm.area import Area
from mmlocks.sentences import counted
from mmlocks.show.draw import LINE, SANS, SMALL, fit

WIDTH = 700
"""Width of every picture in pixels. Its text can still be read when it is shown at 500."""
PAD = 16
BAR = 130.0
BESIDE = 140.0
"""Room for sizes, to the right of the bar."""
COLUMNS = 3
"""Of the legend."""
INDENT = 12
"""From the brackets to the titles at their right."""
ROW = 19.0
"""Height of an area of one page: a line of text."""
GROWTH = 1.8
"""So many pixels taller is an area for every doubling of its size."""
GAP = 30.0
NAME = 7.8
"""Assumed width of a character in a title: names have more wide letters than sentences."""


class BarPart(NamedTuple):
    """A part of a block's bar: what it says, and its share of the width, from 0 to 1."""

    kind: AreaKind
    text: str
    share: float


class LayoutRow(NamedTuple):
    """A block, or a gap (no parts), at its place in the picture."""

    start: int
    end: int
    top: float
    height: float
    parts: tuple[BarPart, ...]
    beside: tuple[str, ...]
    """One or two lines next to the bar: sizes."""
    title: tuple[str, ...]
    """One or two lines to the right of those: what it is."""
    file: str = ""
    """The program, library or file of which this is one area, drawn alone."""
    label: str = ""
    """What that file is: "library", "program?", "shared file"."""


class Brace(NamedTuple):
    """One title for several rows: the file to which all of them belong."""

    top: float
    height: float
    title: tuple[str, ...]


class MapsLayout(NamedTuple):
    """Everything about the picture except the paint."""

    height: float
    title: str
    under_title: tuple[str, ...]
    legend: tuple[tuple[AreaKind, str], ...]
    rows: tuple[LayoutRow, ...]
    braces: tuple[Brace, ...]
    notes: tuple[str, ...]
    bar: float
    """Where the bar begins; then follow sizes and titles."""

    @property
    def beside(self) -> float:
        """Where the sizes begin."""
        return self.bar + BAR + INDENT

    @property
    def titles(self) -> float:
        """Where the brackets are; titles begin at INDENT from here."""
        return self.beside + BESIDE


def lay_out_areas(areas: Sequence[Area], title: str, program: str) -> MapsLayout:
    """Where everything stands. `program` is the file that the process executes, if known."""
    described = describe(areas, program)
    drawn = blocks(described)
    digits = max((len(f"{area.end:08x}") for area in areas), default=8)
    bar = PAD + digits * SMALL + 8
    room = WIDTH - PAD - (bar + BAR + INDENT + BESIDE + INDENT)

    mapped = sum(size_of(area) for area in areas)
    summary = f"{counted(len(areas), 'area')}, {human(mapped)} mapped, high addresses at the top."
    if len(drawn) < len(areas):
        summary += (
            f" The areas are drawn as {len(drawn)} blocks: those of one file together, "
            "and small neighbours."
        )
    under_title = tuple(fit(summary, WIDTH - 2 * PAD, 4, SANS))
    legend = _legend(described)
    top = PAD + 26.0 + len(under_title) * LINE
    top += -(-len(legend) // COLUMNS) * 20 + 22
    rows, braces = _braced(_rows(drawn, top, room), room)
    top = rows[-1].top + rows[-1].height if rows else top

    notes = [
        "The larger, the taller, by the logarithm of the size. Gaps (zigzag) are not to scale.",
        "r may be read, w written, x executed; p private: stores stay in this process; s shared.",
    ]
    if any(len(block.members) > 1 for block in drawn):
        notes.append(
            "A bar in parts is several areas: each of them, low addresses left, or just their "
            "kinds. The second size is with the gaps between them."
        )
    if any(one.is_guess for one in described):
        notes.append(GUESS)
    lines = tuple(line for note in notes for line in fit(note, WIDTH - 2 * PAD, 3, SANS))
    height = top + 26 + len(lines) * LINE + PAD
    return MapsLayout(height, visible(title), under_title, legend, tuple(rows), braces, lines, bar)


def _rows(drawn: Sequence[Block], top: float, room: float) -> list[LayoutRow]:
    """Blocks, and the gaps between them, from the highest address to 0."""
    rows: list[LayoutRow] = []
    upper = None
    for block in reversed(drawn):
        if upper is not None and block.end < upper:
            rows.append(_gap(block.end, upper, top, room))
            top += rows[-1].height
        rows.append(_row(block, top, room))
        top += rows[-1].height
        upper = block.start
    if upper:
        rows.append(_gap(0, upper, top, room))
    return rows


def _legend(described: Sequence[Described]) -> tuple[tuple[AreaKind, str], ...]:
    some = {kind: [one for one in described if one.kind is kind] for kind in KINDS}
    return tuple(
        (kind, f"{ones[0].kind_name} {human(sum(size_of(one.area) for one in ones))}")
        for kind, ones in some.items()
        if ones
    )


def _gap(start: int, end: int, top: float, room: float) -> LayoutRow:
    words = gap_words(start, end)
    if start == 0:
        words = "unmapped: address 0 too, so null pointers fail"
    return LayoutRow(
        start, end, top, GAP, (), (human(end - start),), tuple(fit(words, room, 2, NAME))
    )


def _row(block: Block, top: float, room: float) -> LayoutRow:
    beside = [human(block.mapped)]
    file = label = ""
    if len(block.members) == 1:
        one = block.members[0]
        if one.kind in (PROGRAM, LIBRARY):
            beside = [f"{human(block.mapped)} {one.part}".rstrip()]
        if one.kind in (PROGRAM, LIBRARY, FILE):
            file, label = one.area.file, one.label
        lines = _title_of_one(one, room)
        parts: tuple[BarPart, ...] = (BarPart(one.kind, one.area.perms, 1.0),)
    else:
        if human(block.end - block.start) != beside[0]:
            beside.append(f"in {human(block.end - block.start)}")
        lines = _title_of_many(block, int(room / NAME))
        parts = _parts(block)
    height = (
        ROW
        + (max(len(beside), len(lines)) - 1) * (LINE - 1)
        + GROWTH * log2(max(1, block.mapped >> 12))
    )
    return LayoutRow(
        block.start, block.end, top, height, parts, tuple(beside), tuple(lines), file, label
    )


def _title_of_one(one: Described, room: float) -> list[str]:
    """One line, or two if there is something to remark."""
    signs = int(room / NAME)
    part = "" if one.kind in (PROGRAM, LIBRARY) else one.part  # theirs stands beside the size
    name = base_name(one.name) if one.kind in (PROGRAM, LIBRARY, FILE) else one.name
    title = one._replace(name=name, part=part).words(signs, "…")
    remarks = ", ".join(one.remarks)
    if not remarks:
        return [title]
    if len(title) + len(remarks) + 2 <= signs:
        return [f"{title}, {remarks}"]
    return [title, *fit(remarks, room, 1, NAME)]


def _title_of_many(block: Block, signs: int) -> list[str]:
    """Two lines about areas that are drawn together."""
    count = f"{len(block.members):,} areas"
    if block.file:
        members = [one for one in block.members if one.area.file == block.file]
        lead = next((one.label for one in members if one.kind is not NO_ACCESS), NO_ACCESS.name)
        bss = ", with its .bss?" if any(one.part.startswith(BSS) for one in block.members) else ""
        name = shorten(visible(base_name(block.file)), signs - len(lead) - 1, "…")
        return [f"{lead} {name}", count + bss]
    purposes = {purpose_of_pair(one) for one in block.members}
    used = sum(one.kind is not NO_ACCESS for one in block.members)
    if purposes == {THREAD_STACK}:
        named = all(thread(one.area.file) for one in block.members if one.kind is not NO_ACCESS)
        what = THREAD_STACK if used == 1 else f"{used} threads' stacks?"
        guards = len(block.members) - used
        return [
            what.removesuffix("?") if named else f"{ANONYMOUS.name}: {what}",
            f"{count}, {guards} of them guard{'s' * (guards != 1)}?" if guards else count,
        ]
    if purposes == {THREAD_ARENA}:
        what = THREAD_ARENA if used == 1 else f"{used} threads' mallocs?"
        return [f"{ANONYMOUS.name}: {what}", f"{count}, the rest without access"]
    return [count + _files(block), _largest(block, signs)]


def _files(block: Block) -> str:
    files = {one.area.file for one in block.members if one.area.file.startswith("/")}
    return f", {counted(len(files), 'file')}" if files else ""


def _largest(block: Block, signs: int) -> str:
    """What takes most of a mixture, as far as there is room to name it."""
    sizes: Counter[str] = Counter()
    for one in block.members:
        name = shorten(visible(base_name(one.area.file)), 22, "…") if one.area.file else one.lead
        sizes[name] += size_of(one.area)
    names = [name for name, _ in sizes.most_common()]
    line = names[0]
    for index, name in enumerate(names[1:], 1):
        more = ", …" if index + 1 < len(names) else ""
        if len(line) + len(name) + len(more) + 2 > signs:
            return f"{line}, …"
        line = f"{line}, {name}"
    return line


def _parts(block: Block) -> tuple[BarPart, ...]:
    """The areas of a file side by side; of a mixture, the kinds."""
    if len(block.members) <= 6 and (block.file or len({one.kind for one in block.members}) > 1):
        share = 1 / len(block.members)
        return tuple(BarPart(one.kind, one.area.perms[:3], share) for one in block.members)
    weights = {}
    for kind in KINDS:
        size = sum(size_of(one.area) for one in block.members if one.kind is kind)
        if size:
            weights[kind] = 6 + log2(size >> 12 or 1)
    return tuple(
        BarPart(kind, kind.letter, weight / sum(weights.values()))
        for kind, weight in weights.items()
    )


def _braced(
    rows: Sequence[LayoutRow], room: float
) -> tuple[tuple[LayoutRow, ...], tuple[Brace, ...]]:
    """The rows; neighbours of one file get one title for all of them, beside a brace."""
    braces: list[Brace] = []
    result: list[LayoutRow] = []
    for file, group in groupby(rows, lambda row: row.file):
        run = list(group)
        if file and len(run) > 1:
            labels = {row.label for row in run}
            kind = labels.pop() if len(labels) == 1 else run[0].parts[0].kind.name
            name = shorten(visible(base_name(file)), int(room / NAME) - len(kind) - 1, "…")
            size = human(sum(row.end - row.start for row in run))
            height = run[-1].top + run[-1].height - run[0].top
            braces.append(
                Brace(run[0].top, height, (f"{kind} {name}", f"{size} in {len(run)} areas"))
            )
            run = [row._replace(title=()) for row in run]
        result += run
    return tuple(result), tuple(braces)
