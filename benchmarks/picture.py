"""The growth of cost as a picture: benchmarks/growth.svg."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.grown import AXES
from benchmarks.growth import HOW, LAWS, UNITS, Fit

GROWTH = Path(__file__).with_name("growth.svg")
COLOURS = {"reduced": "#0072b2", "full": "#d55e00"}
"""Okabe & Ito's blue and vermilion: told apart by people who see colours differently, and in grey print by their markers."""
MARKERS = {"reduced": "o", "full": "s"}
NAMES = {"reduced": "with partial-order reduction", "full": "every order of steps"}
ALONG = {
    "cpus": "CPUs",
    "vmas": "VMAs",
    "steps": "steps of the program, all CPUs together",
}
UP = {"states": "distinct states", "seconds": "time of the search (s)"}
INK, FAINT = "#22272e", "#d9dde3"
STYLE: Any = {
    "font.size": 9,
    "axes.edgecolor": "#8a919c",
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "mmlocks",  # the same figures make the same file
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"],
}


def draw(growth: dict[str, Any], machine: dict[str, Any], path: Path = GROWTH) -> None:
    """A column for each axis; states above, seconds below. What was not finished is a hollow mark with an arrow: at least so much."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FixedLocator, NullLocator

    with plt.rc_context(STYLE):
        figure, rows = plt.subplots(2, len(AXES), figsize=(10.5, 6.4), sharex="col", sharey="row")
        # The page behind it may be dark: the picture brings its own paper.
        figure.patch.set_facecolor("white")
        for column, axis in enumerate(AXES.values()):
            for row, what in enumerate(UP):
                panel = rows[row][column]
                panel.set_yscale("log")
                panel.grid(True, which="major")
                panel.set_axisbelow(True)
                for how in HOW:
                    _plot(panel, growth[axis.name][how], what, how, UNITS[axis.name])
                panel.yaxis.set_minor_locator(NullLocator())
                if column == 0:
                    panel.set_ylabel(UP[what])
            xs = [point["x"] for point in growth[axis.name]["reduced"]["points"]]
            rows[1][column].xaxis.set_major_locator(FixedLocator(xs))
            rows[1][column].set_xlabel(ALONG[axis.name])
            rows[0][column].set_title(axis.what, loc="left", color="#5b6472")
        handles, labels = rows[0][0].get_legend_handles_labels()
        figure.legend(
            handles,
            labels,
            loc="upper right",
            ncols=2,
            frameon=False,
            bbox_to_anchor=(0.995, 0.975),
        )
        figure.suptitle(
            "How the cost of a search grows", x=0.012, ha="left", fontsize=13, fontweight="bold"
        )
        where = f"fork beside stores, Linux 6.4.3. {machine['cpu']}, {machine['python']}, {machine['date']}. Dashed: fitted law."
        figure.text(0.012, 0.915, where, color="#5b6472", fontsize=8.5)
        figure.tight_layout(rect=(0, 0, 1, 0.93))
        figure.savefig(path, metadata={"Date": None, "Creator": None})
        plt.close(figure)


def _plot(panel: Any, measured: dict[str, Any], what: str, how: str, unit: str) -> None:
    colour, marker = COLOURS[how], MARKERS[how]
    done = [point for point in measured["points"] if point["wall"] is not None]
    open_end = [point for point in measured["points"] if point["wall"] is None]
    xs, ys = [point["x"] for point in done], [point[what] for point in done]
    panel.plot(xs, ys, marker, color=colour, markersize=5.5, label=NAMES[how], zorder=3)
    for point in open_end:
        panel.plot(
            point["x"],
            point[what],
            marker,
            markeredgecolor=colour,
            markerfacecolor="white",
            zorder=3,
        )
        panel.annotate(
            "", (point["x"], point[what] * 3), (point["x"], point[what]),
            arrowprops={"arrowstyle": "->", "color": colour},
        )  # fmt: skip
    fits = measured["fits"][what]
    if fits["best"] is None:
        return
    fit = Fit(**fits[fits["best"]])
    low, high = min(xs), max(xs)
    line = [low + (high - low) * step / 60 for step in range(61)]
    panel.plot(
        line, [fit.at(x) for x in line], "--", color=colour, linewidth=1.2, alpha=0.75, zorder=2
    )
    panel.text(
        0.03, 0.97 if how == "full" else 0.88, f"{LAWS[fit.law].words(fit.rate, unit)}   R² {fit.r2:.3f}",
        transform=panel.transAxes, va="top", color=colour, fontsize=8.5,
    )  # fmt: skip
