"""How cost grows: states, transitions and seconds against CPUs, VMAs and steps, each with a law fitted to it."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from benchmarks import ours
from benchmarks.grown import AXES, Axis
from benchmarks.tables import table, whole

BRIEF = 0.5
"""Seconds below which one run says little."""
FIGURES = ("states", "transitions", "seconds")


class Law(NamedTuple):
    """A way in which y can depend on x, with two parameters: y as a function of (constant, rate, x), and the rate in words."""

    value: Callable[[float, float, float], float]
    straight: tuple[Callable[[float], float], Callable[[float], float]]
    """What to do to x and to y so that the law becomes a straight line."""
    words: Callable[[float, str], str]


LAWS = {
    "exponential": Law(
        lambda constant, rate, x: constant * math.exp(rate * x),
        (float, math.log),
        lambda rate, unit: f"times {math.exp(rate):.3g} per {unit}",
    ),
    "power": Law(
        lambda constant, rate, x: constant * x**rate,
        (math.log, math.log),
        lambda rate, unit: f"like {unit}s^{rate:.2g}",
    ),
    "linear": Law(
        lambda constant, rate, x: constant + rate * x,
        (float, float),
        lambda rate, unit: f"{rate:+.3g} per {unit}",
    ),
}


class Fit(NamedTuple):
    """The line of least squares through the points as the law straightens them; `r2` says how much of ln y it explains.

    `r2` is 1 for a perfect fit and can be negative for a useless one. It is taken of ln y for every law, so that laws can be
    compared: cost spans orders of magnitude, and a relative error is what matters.
    """

    law: str
    constant: float
    rate: float
    r2: float

    def at(self, x: float) -> float:
        """What the law says at x."""
        return LAWS[self.law].value(self.constant, self.rate, x)


def fitted(law: str, points: Sequence[tuple[float, float]]) -> Fit | None:
    """The law with the parameters that fit best; None if there are too few points (two fit anything), or it cannot hold at all."""
    if len(points) < 3 or any(y <= 0 for _, y in points):
        return None
    along, up = LAWS[law].straight
    xs, ys = [along(x) for x, _ in points], [up(y) for _, y in points]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    if spread == 0:
        return None
    rate = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread
    constant = mean_y - rate * mean_x
    if law != "linear":
        constant = math.exp(constant)
    predicted = [LAWS[law].value(constant, rate, x) for x, _ in points]
    if any(y <= 0 for y in predicted):
        return None
    logs = [math.log(y) for _, y in points]
    mean = sum(logs) / len(logs)
    total = sum((y - mean) ** 2 for y in logs)
    missed = sum((y - math.log(p)) ** 2 for y, p in zip(logs, predicted, strict=True))
    return Fit(law, constant, rate, 1.0 if total == 0 else 1 - missed / total)


def best(points: Sequence[tuple[float, float]]) -> Fit | None:
    """The law that explains most."""
    fits = [fit for fit in (fitted(law, points) for law in LAWS) if fit is not None]
    return max(fits, key=lambda fit: fit.r2, default=None)


def growth(wanted: argparse.Namespace) -> dict[str, Any]:
    """Each axis, with reduction and without: the points, and for each figure the fit of each law."""
    print("\nHow cost grows on 6.4.3, along one axis at a time (seconds: the search alone)")
    found: dict[str, Any] = {}
    lines = []
    for axis in AXES.values():
        found[axis.name] = {"what": axis.what}
        for how, full in (("reduced", False), ("full", True)):
            points = _points(axis, full, wanted)
            fits = {figure: _fits(points, figure) for figure in FIGURES}
            found[axis.name][how] = {"points": points, "fits": fits}
            lines += [
                (
                    f"{axis.name} {how}",
                    point["x"],
                    ("" if point["wall"] is not None else "> ") + whole(point["states"]),
                    ("" if point["wall"] is not None else "> ") + whole(point["transitions"]),
                    f"{point['seconds']:.2f}",
                )
                for point in points
            ]
    print(table(["axis", "size", "states", "transitions", "seconds"], lines))
    print("\nThe law that explains most of each (R^2 of the logarithms)")
    print(
        table(
            ["axis", "held", *FIGURES],
            [_laws(axis, how, found) for axis in AXES.values() for how in HOW],
        )
    )
    return found


HOW = ("reduced", "full")


def _points(axis: Axis, full: bool, wanted: argparse.Namespace) -> list[dict[str, Any]]:
    """Larger and larger, up to the first size that is not searched within its limit."""
    points = []
    for size in axis.sizes[: axis.quick] if wanted.quick else axis.sizes:
        point = _steadied(
            wanted.repeats,
            partial(ours.grown, axis.name, size, wanted.growth_limit, full, wanted.full_states),
        )
        # "Steps" is a length that the programs have, not one that they are given.
        points.append({"x": point["steps"] if axis.name == "steps" else size, **point})
        if point["wall"] is None:
            break
    return points


def _steadied(times: int, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Of a short search, which anything may disturb, the median by its seconds."""
    runs = [measure()]
    while runs[0]["seconds"] < BRIEF and len(runs) < times:
        runs.append(measure())
    return sorted(runs, key=lambda run: run["seconds"])[len(runs) // 2]


def _fits(points: list[dict[str, Any]], figure: str) -> dict[str, Any]:
    """Unfinished points are left out: their figures say how far the search came, not how far it had to go."""
    done = [
        (float(point["x"]), float(point[figure])) for point in points if point["wall"] is not None
    ]
    chosen = best(done)
    fits = {law: fit for law in LAWS if (fit := fitted(law, done)) is not None}
    return {
        "best": chosen.law if chosen else None,
        **{law: fit._asdict() for law, fit in fits.items()},
    }


def _laws(axis: Axis, how: str, found: dict[str, Any]) -> tuple[str, ...]:
    cells = []
    for figure in FIGURES:
        fits = found[axis.name][how]["fits"][figure]
        if fits["best"] is None:
            cells.append("too few points")
            continue
        fit = fits[fits["best"]]
        cells.append(f"{LAWS[fits['best']].words(fit['rate'], UNITS[axis.name])} ({fit['r2']:.3f})")
    return (f"{axis.name} {how}", axis.what, *cells)


UNITS = {"cpus": "CPU", "vmas": "VMA", "steps": "step"}
