"""The picture of an address space: a pure function from areas to SVG, high addresses at the top.

What stands where is computed in `areas_layout`, once; `paint` paints it, with a pen for SVG or with one for PNG (`areas_png`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mmlocks.maps.kinds import (
    ANONYMOUS,
    FILE,
    HEAP,
    KERNEL,
    LIBRARY,
    NO_ACCESS,
    PROGRAM,
    SHARED,
    STACK,
)
from mmlocks.maps.layout import (
    BAR,
    COLUMNS,
    INDENT,
    PAD,
    SMALL,
    WIDTH,
    Brace,
    Cell,
    Layout,
    Row,
    lay_out,
)
from mmlocks.mm.area import Area
from mmlocks.show.draw import LINE, SANS, Pen, document, fit, number

COLOURS = {
    PROGRAM: ("#0072B2", "#fff"),
    LIBRARY: ("#56B4E9", "#111"),
    FILE: ("#009E73", "#111"),
    HEAP: ("#E69F00", "#111"),
    STACK: ("#CC79A7", "#111"),
    ANONYMOUS: ("#F0E442", "#111"),
    SHARED: ("#8C6D46", "#fff"),
    KERNEL: ("#999999", "#111"),
}
"""Fill and ink of each kind, after Okabe and Ito; memory without access has none, and is hatched. Letters say the same."""


class Brush(Protocol):
    """What paints: `Pen` for SVG, and its counterpart for PNG. Coordinates are in pixels, y grows downwards."""

    def text(
        self, x: float, y: float, text: str, kind: str = "", anchor: str = "", colour: str = ""
    ) -> None:
        """Text on the baseline y."""
        ...

    def box(
        self, x: float, y: float, width: float, height: float, kind: str = "", fill: str = "", radius: float = 4
    ) -> None:  # fmt: skip
        """A rectangle."""
        ...

    def path(self, points: str, kind: str) -> None:
        """Straight lines: M and L of SVG's path language, with absolute coordinates."""
        ...


def picture(areas: Sequence[Area], title: str = "An address space", program: str = "") -> str:
    """An address space as an SVG document. `program` is the file that the process executes, where that is known.

    No ids, no scripts and no clock: the same areas are always the same text. However many areas there are, they are
    drawn as some 30 blocks; how many share one is said on it.
    """
    layout = lay_out(areas, title, program)
    pen = Pen()
    paint(pen, layout)
    return document(WIDTH, layout.height, layout.title, description(layout), pen.parts)


def description(layout: Layout) -> str:
    """The picture in words, from top to bottom, for those who cannot see it."""
    lines = list(layout.under_title)
    braced = {row: brace for brace in layout.braces for row in layout.rows if _within(row, brace)}
    for row in layout.rows:
        brace = braced.get(row)
        what = " ".join((*row.title, *(brace.title[:1] if brace else ())))
        perms = " ".join(cell.text for cell in row.cells)
        where = f"{row.start:x} to {row.end:x}"
        lines.append(
            f"{where}: {what}, {' '.join(row.beside)}{' ' if perms else ''}{perms}".rstrip()
        )
    return "\n".join(lines)


def _within(row: Row, brace: Brace) -> bool:
    return brace.top <= row.top < brace.top + brace.height


# -- painted ---------------------------------------------------------------------------------------------------------


def paint(pen: Brush, layout: Layout) -> None:
    """Paint it all."""
    y = PAD + 14.0
    pen.text(PAD, y, fit(layout.title, WIDTH - 2 * PAD, 1, SANS * 1.3)[0], "h")
    for line in layout.under_title:
        y += LINE
        pen.text(PAD, y, line, "q")
    _paint_legend(pen, layout, y + 12)
    for row in layout.rows:
        _paint_row(pen, layout, row)
    _paint_addresses(pen, layout)
    for brace in layout.braces:
        _paint_brace(pen, layout, brace)
    y = layout.height - PAD - len(layout.notes) * LINE
    for line in layout.notes:
        y += LINE
        pen.text(PAD, y, line, "q")


def _paint_legend(pen: Brush, layout: Layout, y: float) -> None:
    each = (WIDTH - 2 * PAD) / COLUMNS
    for index, (kind, words) in enumerate(layout.legend):
        x, top = PAD + index % COLUMNS * each, y + index // COLUMNS * 20
        _paint_cell(pen, x, top, 20, 15, Cell(kind, kind.letter, 1))
        pen.text(x + 27, top + 12, words)


def _paint_row(pen: Brush, layout: Layout, row: Row) -> None:
    middle = row.top + row.height / 2
    quiet = "" if row.cells else "q"
    if row.cells:
        x = layout.bar
        for cell in row.cells:
            width = cell.share * BAR
            letter = len(row.cells) == 1
            _paint_cell(pen, x, row.top, width, row.height, cell, letter)
            x += width
    else:
        _zigzag(pen, layout.bar, row.top, BAR, row.height)
    _lines(pen, layout.beside, middle, row.beside, quiet)
    _lines(pen, layout.titles + INDENT, middle, row.title, quiet)


def _lines(pen: Brush, x: float, middle: float, lines: Sequence[str], first: str) -> None:
    y = middle + 4.5 - (len(lines) - 1) * (LINE - 1) / 2
    for index, line in enumerate(lines):
        pen.text(x, y + index * (LINE - 1), line, "q" if index else first)


def _paint_cell(
    pen: Brush, x: float, y: float, width: float, height: float, cell: Cell, letter: bool = False
) -> None:  # fmt: skip
    fill, ink = COLOURS.get(cell.kind, ("", ""))
    pen.box(x, y, width, height, "area", fill, 0)
    if cell.kind is NO_ACCESS:
        pen.path(_stripes(x, y, width, height), "line dim")
    baseline = y + height / 2 + 4
    if letter:
        pen.text(x + 8, baseline, cell.kind.letter, "b m", colour=ink)
        if cell.text != cell.kind.letter:
            pen.text(x + width - 8, baseline, cell.text, "m", "end", ink)
    else:
        for text in (cell.text, cell.kind.letter):
            if len(text) * SMALL + 5 <= width:
                pen.text(x + width / 2, baseline, text, "m s", "middle", ink)
                break


def _stripes(x: float, y: float, width: float, height: float, gap: float = 8) -> str:
    """Diagonals that fill a rectangle."""
    lines = []
    offset = gap / 2
    while offset < width + height:
        x1, y1 = (offset, 0.0) if offset <= width else (width, offset - width)
        x2, y2 = (0.0, offset) if offset <= height else (offset - height, height)
        lines.append(f"M{number(x + x1)} {number(y + y1)}L{number(x + x2)} {number(y + y2)}")
        offset += gap
    return "".join(lines)


def _zigzag(pen: Brush, x: float, y: float, width: float, height: float) -> None:
    """The bar breaks off and goes on."""
    teeth = max(4, int(width // 12))
    for middle in (y + height / 2 - 4, y + height / 2 + 4):
        points = [
            f"{number(x + index * width / teeth)} {number(middle + (3 if index % 2 else -3))}"
            for index in range(teeth + 1)
        ]
        pen.path(f"M{'L'.join(points)}", "line")


def _paint_addresses(pen: Brush, layout: Layout) -> None:
    """Every boundary's address, beside the boundary."""
    x = layout.bar - 7
    above: Row | None = None
    for row in layout.rows:
        if row.cells:
            if above is None or not above.cells:
                pen.text(x, row.top + 4, f"{row.end:x}", "m s q", "end")
            pen.text(x, row.top + row.height + 4, f"{row.start:x}", "m s q", "end")
        above = row
    if above is not None and not above.cells:
        pen.text(x, above.top + above.height + 4, "0", "m s q", "end")


def _paint_brace(pen: Brush, layout: Layout, brace: Brace) -> None:
    x, top, bottom = layout.titles, brace.top + 3, brace.top + brace.height - 3
    points = [(x - 4, top), (x, top), (x, bottom), (x - 4, bottom)]
    pen.path("M" + "L".join(f"{number(a)} {number(b)}" for a, b in points), "line")
    _lines(pen, x + INDENT, brace.top + brace.height / 2, brace.title, "")
