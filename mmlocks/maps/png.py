"""The same picture as a PNG, for places that take no SVG. matplotlib paints the same layout."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mmlocks.errors import MmlocksError
from mmlocks.maps.layout import WIDTH, lay_out_areas
from mmlocks.maps.picture import paint
from mmlocks.mm.area import Area

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCALE = 2
"""Pixels of the PNG for each pixel of the layout: it is sharp on paper and on fine screens."""
POINT = 72
"""Points in an inch, and pixels of the layout too: a font of 12 pixels has 12 points."""

INKS = {"q": "#5f5f5f", "": "#1b1b1b"}
LINES = {"line": ("#5f5f5f", 1.0, 1.0), "line dim": ("#5f5f5f", 1.0, 0.35)}
"""Colour, width and opacity, as the light style sheet of the SVG has them."""


def maps_png(areas: Sequence[Area], title: str = "An address space", program: str = "") -> bytes:
    """An address space as the bytes of a PNG file: light, with SCALE times the pixels of the SVG.

    Raises MmlocksError if matplotlib is not installed; it comes with the course.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MmlocksError(
            "a PNG is drawn with the Python package matplotlib, which is not installed here. "
            "Install it (python -m pip install matplotlib), or write an SVG, which needs nothing: "
            "--svg FILE"
        ) from None
    layout = lay_out_areas(areas, title, program)
    figure = Figure(figsize=(WIDTH / POINT, layout.height / POINT), facecolor="#fff")
    FigureCanvasAgg(figure)
    paint(PngBrush(figure, WIDTH, layout.height), layout)
    file = io.BytesIO()
    with warnings.catch_warnings():
        # The font may lack the letters of a file's name.
        warnings.filterwarnings("ignore", message="Glyph")
        about = {"Software": None, "Title": layout.title}
        figure.savefig(file, format="png", dpi=SCALE * POINT, metadata=about)
    return file.getvalue()


class PngBrush:
    """The brush of `picture.paint` for a figure of matplotlib."""

    def __init__(self, figure: Figure, width: float, height: float) -> None:
        self.axes = figure.add_axes((0, 0, 1, 1))
        self.axes.set_axis_off()
        self.axes.set_xlim(0, width)
        self.axes.set_ylim(height, 0)  # y grows downwards, as in SVG

    def text(
        self, x: float, y: float, text: str, kind: str = "", anchor: str = "", colour: str = ""
    ) -> None:
        """Text on the baseline y; `kind` is one or more of the SVG's style classes."""
        kinds = kind.split()
        self.axes.text(
            x,
            y,
            text,
            parse_math=False,  # a file's name may contain dollars
            color=colour or INKS["q" if "q" in kinds else ""],
            family="DejaVu Sans Mono" if "m" in kinds else "DejaVu Sans",
            fontsize=15 if "h" in kinds else 11 if "s" in kinds else 12,
            fontweight="bold" if {"b", "h"} & set(kinds) else "normal",
            ha={"end": "right", "middle": "center"}.get(anchor, "left"),
            va="baseline",
        )

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
        """A rectangle with the outline of an area; corners are square here."""
        from matplotlib.patches import Rectangle

        del kind, radius
        self.axes.add_patch(
            Rectangle(
                (x, y), width, height, facecolor=fill or "#fff", edgecolor="#5f5f5f", linewidth=1.2
            )
        )

    def path(self, points: str, kind: str) -> None:
        """Straight lines: M and L of SVG's path language."""
        colour, thickness, opacity = LINES[kind]
        for stroke in points.split("M")[1:]:
            pairs = [pair.split() for pair in stroke.split("L")]
            self.axes.plot(
                [float(pair[0]) for pair in pairs],
                [float(pair[1]) for pair in pairs],
                color=colour,
                linewidth=thickness,
                alpha=opacity,
                solid_capstyle="butt",
            )
