"""The picture of an address space: a pure function from areas to SVG, high addresses at the top.

`layout` computes where everything stands. `paint` paints it with a brush: with a pen for SVG, or
with the brush of `png`. One painter for both has not been found: matplotlib's own SVG has no
titles, descriptions or colours of JupyterLab, and cairosvg would be one more dependency that needs
the cairo library.
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
    WIDTH,
    BarPart,
    Brace,
    LayoutRow,
    MapsLayout,
    lay_out_areas,
)
from mmlocks.mm.area import Area
from mmlocks.show.draw import LINE, SANS, SMALL, Pen, document, fit, number, stripes

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
"""Fill and ink of each kind, after Okabe and Ito. Letters say the same.

Memory without access has no colour: it is hatched.
"""


class Brush(Protocol):
    """Paints: `Pen` for SVG, `PngBrush` for PNG. Coordinates are in pixels; y grows downwards."""

    def text(
        self, x: float, y: float, text: str, kind: str = "", anchor: str = "", colour: str = ""
    ) -> None:
        """Text on the baseline y."""
        ...

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        kind: str = "",
        fill: str = "",
        radius: float = 4,
    ) -> None:
        """A rectangle."""
        ...

    def path(self, points: str, kind: str) -> None:
        """Straight lines: M and L of SVG's path language, with absolute coordinates."""
        ...


def maps_picture(areas: Sequence[Area], title: str = "An address space", program: str = "") -> str:
    """An address space as an SVG document. `program`: the file that the process executes, if known.

    No ids, no scripts and no clock: the same areas are always the same text. Thousands of areas are
    drawn as about 30 blocks; each block says how many areas it has.
    """
    layout = lay_out_areas(areas, title, program)
    pen = Pen()
    paint(pen, layout)
    return document(WIDTH, layout.height, layout.title, description(layout), pen.parts)


def description(layout: MapsLayout) -> str:
    """The picture in words, from top to bottom, for readers who cannot see it."""
    lines = list(layout.under_title)
    braced = {row: brace for brace in layout.braces for row in layout.rows if _within(row, brace)}
    for row in layout.rows:
        brace = braced.get(row)
        what = " ".join((*row.title, *(brace.title[:1] if brace else ())))
        perms = " ".join(part.text for part in row.parts)
        told = " ".join(filter(None, [*row.beside, perms]))
        lines.append(f"{row.start:x} to {row.end:x}: {what}, {told}".rstrip())
    return "\n".join(lines)


def _within(row: LayoutRow, brace: Brace) -> bool:
    return brace.top <= row.top < brace.top + brace.height


def paint(pen: Brush, layout: MapsLayout) -> None:
    """Paint the whole picture."""
    y = PAD + 14.0
    pen.text(PAD, y, fit(layout.title, WIDTH - 2 * PAD, 1, SANS * 1.3)[0], "h")
    y = _paint_lines(pen, y, layout.under_title)
    _paint_legend(pen, layout, y + 12)
    for row in layout.rows:
        _paint_row(pen, layout, row)
    _paint_addresses(pen, layout)
    for brace in layout.braces:
        _paint_brace(pen, layout, brace)
    _paint_lines(pen, layout.height - PAD - len(layout.notes) * LINE, layout.notes)


def _paint_lines(pen: Brush, y: float, lines: Sequence[str]) -> float:
    """Quiet lines below y, over the whole width; returns the baseline of the last one."""
    for line in lines:
        y += LINE
        pen.text(PAD, y, line, "q")
    return y


def _paint_legend(pen: Brush, layout: MapsLayout, y: float) -> None:
    each = (WIDTH - 2 * PAD) / COLUMNS
    for index, (kind, words) in enumerate(layout.legend):
        x, top = PAD + index % COLUMNS * each, y + index // COLUMNS * 20
        _paint_part(pen, x, top, 20, 15, BarPart(kind, kind.letter, 1))
        pen.text(x + 27, top + 12, words)


def _paint_row(pen: Brush, layout: MapsLayout, row: LayoutRow) -> None:
    middle = row.top + row.height / 2
    quiet = "" if row.parts else "q"
    if row.parts:
        x = layout.bar
        for part in row.parts:
            width = part.share * BAR
            letter = len(row.parts) == 1
            _paint_part(pen, x, row.top, width, row.height, part, letter)
            x += width
    else:
        _zigzag(pen, layout.bar, row.top, BAR, row.height)
    _lines(pen, layout.beside, middle, row.beside, quiet)
    _lines(pen, layout.titles + INDENT, middle, row.title, quiet)


def _lines(pen: Brush, x: float, middle: float, lines: Sequence[str], first: str) -> None:
    y = middle + 4.5 - (len(lines) - 1) * (LINE - 1) / 2
    for index, line in enumerate(lines):
        pen.text(x, y + index * (LINE - 1), line, "q" if index else first)


def _paint_part(
    pen: Brush,
    x: float,
    y: float,
    width: float,
    height: float,
    part: BarPart,
    letter: bool = False,
) -> None:
    fill, ink = COLOURS.get(part.kind, ("", ""))
    pen.box(x, y, width, height, "area", fill, 0)
    if part.kind is NO_ACCESS:
        pen.path(stripes(x, y, width, height, 8), "line dim")
    baseline = y + height / 2 + 4
    if letter:
        pen.text(x + 8, baseline, part.kind.letter, "b m", colour=ink)
        if part.text != part.kind.letter:
            pen.text(x + width - 8, baseline, part.text, "m", "end", ink)
    else:
        for text in (part.text, part.kind.letter):
            if len(text) * SMALL + 5 <= width:
                pen.text(x + width / 2, baseline, text, "m s", "middle", ink)
                break


def _zigzag(pen: Brush, x: float, y: float, width: float, height: float) -> None:
    """A gap: two zigzag lines in place of the bar."""
    teeth = max(4, int(width // 12))
    for middle in (y + height / 2 - 4, y + height / 2 + 4):
        points = [
            f"{number(x + index * width / teeth)} {number(middle + (3 if index % 2 else -3))}"
            for index in range(teeth + 1)
        ]
        pen.path(f"M{'L'.join(points)}", "line")


def _paint_addresses(pen: Brush, layout: MapsLayout) -> None:
    """The address of every boundary, beside it."""
    x = layout.bar - 7
    above: LayoutRow | None = None
    for row in layout.rows:
        if row.parts:
            if above is None or not above.parts:
                pen.text(x, row.top + 4, f"{row.end:x}", "m s q", "end")
            pen.text(x, row.top + row.height + 4, f"{row.start:x}", "m s q", "end")
        above = row
    if above is not None and not above.parts:
        pen.text(x, above.top + above.height + 4, "0", "m s q", "end")


def _paint_brace(pen: Brush, layout: MapsLayout, brace: Brace) -> None:
    x, top, bottom = layout.titles, brace.top + 3, brace.top + brace.height - 3
    points = [(x - 4, top), (x, top), (x, bottom), (x - 4, bottom)]
    pen.path("M" + "L".join(f"{number(a)} {number(b)}" for a, b in points), "line")
    _lines(pen, x + INDENT, brace.top + brace.height / 2, brace.title, "")
