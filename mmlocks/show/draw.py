"""A pen that writes SVG, and the colours. Nothing here knows what a page table is.

Text cannot be measured without a browser. The width of monospaced text is known. For other text
this file assumes a generous width, so that wrapped text fits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from textwrap import wrap

WIDE, NARROW = 960, 440
"""Widths of the two drawings of everything: for wide outputs, and for narrow ones (one column)."""
COLUMNS_FROM = 800
"""From this width on, parts of a drawing stand beside each other."""
GAP = 14
"""Between parts of a drawing."""
MONO = 7.25
"""Width of a monospaced character at 12 px."""
SMALL = MONO * 11 / 12
"""Width of a monospaced character at 11 px."""
SANS = 6.7
"""Assumed width of another character at 13 px; most are narrower."""
BOLD = 1.14
"""How much wider bold text is."""
LINE = 16
WIDTHS = {
    character: width
    for width, characters in (
        (3.7, "ijlIJ"), (4.4, " ,.f/:;\\|"), (5.2, "-()[]t!r"), (6.8, "\"'*_`szL?"),
        (7.8, "ckFvxyPTY"), (8.3, "aeoEhnu$0123456789Sbdgpq{}"), (9.1, "KABVXZRC"),
        (10.2, "UNHDG&OQ"), (10.9, "w#+<=>^~M"), (13.0, "%mW@"),
    )
    for character in characters
}  # fmt: skip
"""Widths of other characters at 13 px."""

CPU_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#8C6D46")
"""Okabe and Ito's palette: people with any kind of colour vision can tell these colours apart.

Its vermilion is kept for what is wrong.
"""
CPU_INKS = ("#fff", "#111", "#fff", "#111", "#111", "#fff")

STYLE = """
.mml{--mi:#1b1b1b;--mq:#5f5f5f;--mp:#fff;--mc:#f4f5f7;--ml:#c3c7cc;--mw:#b34700}
@media (prefers-color-scheme:dark)
{.mml{--mi:#eee;--mq:#b0b0b0;--mp:#161616;--mc:#232427;--ml:#55585d;--mw:#ff9d5c}}
[data-jp-theme-light=true] .mml{--mw:#b34700}
[data-jp-theme-light=false] .mml{--mw:#ff9d5c}
.mml{--ink:var(--jp-ui-font-color1,var(--mi));
--quiet:var(--jp-ui-font-color2,var(--mq));
--paper:var(--jp-layout-color1,var(--mp));
--card:var(--jp-layout-color2,var(--mc));
--rule:var(--jp-border-color1,var(--ml));--wrong:var(--mw)}
.mml text{font:13px system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;
fill:var(--ink);white-space:pre}
.mml .m{font:12px "DejaVu Sans Mono",Menlo,Consolas,"Liberation Mono",monospace}
.mml .b{font-weight:700}
.mml .s{font-size:11px}
.mml .h{font-size:15px;font-weight:700}
.mml .q{fill:var(--quiet)}
.mml .w{fill:var(--wrong);font-weight:700}
.mml .k{fill:#111}
.mml .r{fill:#fff}
.mml .paper{fill:var(--paper)}
.mml .card{fill:var(--card);stroke:var(--rule)}
.mml .area{fill:var(--paper);stroke:var(--quiet);stroke-width:1.5}
.mml .free{fill:none;stroke:var(--rule);stroke-dasharray:4 3}
.mml .hot{fill:#F0E442;stroke:#111;stroke-width:1}
.mml .bad{fill:none;stroke:var(--wrong);stroke-width:1.5}
.mml .stripe{stroke:var(--wrong);stroke-width:1.3;fill:none;opacity:.55}
.mml .line{stroke:var(--quiet);fill:none;stroke-width:1.3}
.mml .thick{stroke:var(--ink);fill:none;stroke-width:2.2}
.mml .stale{stroke:var(--wrong);fill:none;stroke-width:2;stroke-dasharray:6 4}
.mml .tip{fill:var(--quiet)}
.mml .thicktip{fill:var(--ink)}
.mml .staletip{fill:var(--wrong)}
.mml .now{fill:none;stroke:var(--ink);stroke-width:2.5}
.mml .dim{opacity:.35}
""".replace("\n", "")


def number(value: float) -> str:
    """A coordinate, short."""
    return f"{value:.5g}"


def cpu_colour(cpu: int) -> str:
    """The colour that a CPU has everywhere."""
    return CPU_COLOURS[cpu % len(CPU_COLOURS)]


def cpu_ink(cpu: int) -> str:
    """A colour that can be read on `cpu_colour`."""
    return CPU_INKS[cpu % len(CPU_INKS)]


def sans_width(text: str) -> float:
    """Width of text at 13 px in DejaVu Sans, which is wider than what most systems have."""
    return sum(WIDTHS.get(character, 9.5) for character in text)


def fit(
    text: str, width: float, lines: int, character: float = MONO, bold: bool = False
) -> list[str]:
    """Break text to a width in pixels, in at most `lines` lines; an ellipsis shows what is cut."""
    room = max(4, int(width / character))
    broken = wrap(text, room, break_on_hyphens=False)
    # SANS is an assumed width: names such as mm_mt.node0 are wider.
    if character >= SANS and character != MONO:
        wider = BOLD if bold else 1
        while room > 4 and any(sans_width(line) * wider > width for line in broken[:lines]):
            room -= 1
            broken = wrap(text, room, break_on_hyphens=False)
    if len(broken) > lines:
        broken = broken[:lines]
        broken[-1] = broken[-1][: room - 1].rstrip() + "…"
    return broken


def stripes(x: float, y: float, width: float, height: float, gap: float) -> str:
    """Diagonals that fill a rectangle, in SVG's path language."""
    lines = []
    offset = gap / 2
    while offset < width + height:
        x1, y1 = (offset, 0.0) if offset <= width else (width, offset - width)
        x2, y2 = (0.0, offset) if offset <= height else (offset - height, height)
        lines.append(f"M{number(x + x1)} {number(y + y1)}L{number(x + x2)} {number(y + y2)}")
        offset += gap
    return "".join(lines)


class Pen:
    """Collects SVG elements."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    @contextmanager
    def about(self, text: str, kind: str = "") -> Iterator[None]:
        """Draw a group where the pointer shows `text`; no group if it is empty."""
        if text:
            classed = f' class="{kind}"' if kind else ""
            self.parts.append(f"<g{classed}><title>{escape(text)}</title>")
        yield
        if text:
            self.parts.append("</g>")

    def text(
        self, x: float, y: float, text: str, kind: str = "", anchor: str = "", colour: str = ""
    ) -> None:
        """Text on the baseline y. `kind` is one or more style classes."""
        anchored = f' text-anchor="{anchor}"' if anchor else ""
        styled = f' style="fill:{colour}"' if colour else ""
        classed = f' class="{kind}"' if kind else ""
        at = f'x="{number(x)}" y="{number(y)}"'
        self.parts.append(f"<text {at}{classed}{anchored}{styled}>{escape(text)}</text>")

    def lines(
        self, x: float, y: float, lines: Iterable[str], kind: str = "", step: float = LINE
    ) -> float:
        """Lines of text, one below the other; returns the baseline for one more."""
        for line in lines:
            self.text(x, y, line, kind)
            y += step
        return y

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
        """A rectangle with round corners."""
        filled = f' style="fill:{fill}"' if fill else ""
        size = f'width="{number(width)}" height="{number(height)}" rx="{number(radius)}"'
        self.parts.append(f'<rect x="{number(x)}" y="{number(y)}" {size} class="{kind}"{filled}/>')

    def hatch(self, x: float, y: float, width: float, height: float, gap: float = 7) -> None:
        """Stripes: "something is wrong here" for readers who cannot see its colour."""
        self.path(stripes(x, y, width, height, gap), "stripe")

    def path(self, points: str, kind: str) -> None:
        """A path from SVG's own path language."""
        self.parts.append(f'<path class="{kind}" d="{points}"/>')

    def tip(self, x: float, y: float, direction: int, kind: str) -> None:
        """The tip of an arrow that ends at (x, y), pointing right (1) or left (-1)."""
        back, above, below = map(number, (x - 8 * direction, y - 4, y + 4))
        self.path(f"M{number(x)} {number(y)}L{back} {above}L{back} {below}Z", kind)

    def chip(
        self, x: float, y: float, text: str, fill: str, ink: str, hatched: bool = False
    ) -> float:
        """A small label of one colour, its text's baseline at y; returns its width."""
        width = len(text) * SMALL + 10
        self.box(x, y - 11.5, width, 15, fill=fill, radius=3)
        if hatched:
            self.hatch(x, y - 11.5, width, 15, 5)
        self.text(x + 5, y, text, "m s", colour=ink)
        return width

    def cpu_chip(self, x: float, y: float, text: str, cpu: int) -> float:
        """A label in the colour of a CPU; returns its width."""
        return self.chip(x, y, text, cpu_colour(cpu), cpu_ink(cpu))

    def field(
        self, x: float, y: float, text: str, changed: bool = False, kind: str = "m", about: str = ""
    ) -> float:
        """Monospaced text, in a yellow box if it has just changed; returns its width."""
        width = len(text) * MONO
        with self.about(about):
            if changed:
                self.box(x - 3, y - 12, width + 6, 16, "hot", radius=2)
                kind = f"{kind.replace('q', '').replace('w', '')} k".strip()
            self.text(x, y, text, kind)
        return width

    def remark(
        self, x: float, y: float, text: str, changed: bool = False, about: str = ""
    ) -> float:
        """Small, quiet monospaced text, marked like a field if it has just changed."""
        width = len(text) * SMALL
        with self.about(about):
            if changed and text:
                self.box(x - 3, y - 10.5, width + 6, 14, "hot", radius=2)
            self.text(x, y, text, "m s k" if changed else "m s q")
        return width

    def warning(self, x: float, y: float, text: str) -> float:
        """A word in a hatched frame; returns its width."""
        width = len(text) * SMALL + 10
        self.box(x, y - 11.5, width, 15, "paper", radius=2)
        self.hatch(x, y - 11.5, width, 15, 5)
        self.box(x, y - 11.5, width, 15, "bad", radius=2)
        self.box(x + 3, y - 9.5, width - 6, 11, "paper", radius=1)
        self.text(x + 5, y - 0.5, text, "m s w")
        return width


def document(
    width: float, height: float, title: str, description: str, parts: Sequence[str], top: float = 0
) -> str:
    """A whole SVG document, which scales to the room it is given.

    It shows what lies between `top` and `height` below that.
    """
    at = f' y="{number(top)}"' if top else ""
    room = f'viewBox="0 {number(top)} {number(width)} {number(height)}" width="{number(width)}"'
    style = f"width:100%;max-width:{number(width * 1.15)}px;height:auto;display:block"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="mml" role="img" {room} style="{style}">'
        f"<title>{escape(title)}</title><desc>{escape(description)}</desc><style>{STYLE}</style>"
        f'<rect class="paper"{at} width="100%" height="100%"/>{"".join(parts)}</svg>'
    )
