"""The progress graph of two CPUs as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from mmlocks.show.draw import (
    COLUMNS_FROM,
    LINE,
    SANS,
    SMALL,
    WIDE,
    Pen,
    cpu_colour,
    cpu_ink,
    document,
    fit,
    number,
)
from mmlocks.show.progress_graph import (
    MEANINGS,
    NEVER,
    WALL,
    ProgressGraph,
    in_short,
    meaning_of,
    progress_text,
    ways,
)

PAD = 12.0


STYLE = """<style>
.mml .cell{fill:var(--card);stroke:var(--rule);stroke-width:1}
.mml .sure{fill:#009E7333;stroke:#009E73;stroke-width:1}
.mml .wall{fill:var(--quiet);stroke:var(--quiet);opacity:.75}
.mml .doom{fill:var(--paper);stroke:var(--wrong);stroke-width:1.2}
.mml .way{fill:none;stroke:var(--ink);stroke-width:3;stroke-linejoin:round}
.mml .wrongway{stroke:var(--wrong);stroke-dasharray:7 4}
.mml .skip{stroke-width:1.6}
.mml .halo{paint-order:stroke;stroke:var(--paper);stroke-width:4px;stroke-linejoin:round}
</style>""".replace("\n", "")


def progress_picture(graph: ProgressGraph, title: str = "", width: float = WIDE) -> str:
    """The progress graph as an SVG document."""
    title = title or "Progress graph"
    pen = Pen()
    pen.parts.append(STYLE)
    y = PAD + 14
    y = pen.lines(PAD, y, fit(title, width - 2 * PAD, 3, SANS * 1.35), "h", 20)
    columns, rows = len(graph.fields), len(graph.fields[0])
    beside = 34.0
    room = width - 2 * PAD - beside - 8
    size = max(11.0, min(52.0, room / columns, 640 / rows))
    left, top = PAD + beside, y + 8
    bottom = top + rows * size
    _fields(pen, graph, left, bottom, size)
    for path, kind in ((graph.good, "way"), (graph.bad, "way wrongway")):
        points = [(left + (x + 0.5) * size, bottom - (y + 0.5) * size) for x, y in path]
        if len(points) > 1:
            shift = 2.5 if kind == "way" else -2.5
            _way(pen, [(a + shift, b + shift) for a, b in points], kind, size)
            _end(pen, points[-1], kind)
    y = _axes(pen, graph, left, bottom, size, width)
    right = left + columns * size + 36
    if width - right > 330:
        y = max(y, _legend(pen, graph, right, top, width) + 16)
    else:
        y = _legend(pen, graph, PAD, y, width) + 16
    y = _lists(pen, graph, y + 8, width)
    return document(width, y + PAD, title, progress_text(graph, title), pen.parts)


def _fields(pen: Pen, graph: ProgressGraph, left: float, bottom: float, size: float) -> None:
    for x, column in enumerate(graph.fields):
        for y, field in enumerate(column):
            if field == NEVER:
                continue
            locks = ": " + ", ".join(graph.locks[x, y]) if (x, y) in graph.locks else ""
            with pen.about(f"cpu0 after {x} steps, cpu1 after {y}: {MEANINGS[field]}{locks}"):
                _field(pen, left + x * size + 1, bottom - (y + 1) * size + 1, size - 2, field)


def _field(pen: Pen, x: float, y: float, size: float, field: str) -> None:
    kinds = {"open": "cell", "good": "sure", WALL: "wall"}
    pen.box(x, y, size, size, kinds.get(field, "doom"), radius=2)
    if field not in kinds:
        pen.hatch(x, y, size, size, 6)


def _way(pen: Pen, points: Sequence[tuple[float, float]], kind: str, size: float) -> None:
    """A path from field to field. A step that skips fields is a thin bow."""
    drawn = f"M{number(points[0][0])} {number(points[0][1])}"
    for (a, b), (x, y) in pairwise(points):
        if _far(a - x, b - y, size):
            bend = 0.9 * size
            middle = ((a + x) / 2 + (bend if a == x else 0), (b + y) / 2 - (bend if b == y else 0))
            ends = " ".join(map(number, (*middle, x, y)))
            pen.path(f"M{number(a)} {number(b)}Q{ends}", f"{kind} skip")
            drawn += f"M{number(x)} {number(y)}"
        else:
            drawn += f"L{number(x)} {number(y)}"
    pen.path(drawn, kind)


def _far(right: float, up: float, size: float = 1) -> bool:
    return abs(right) + abs(up) > 1.5 * size


def _end(pen: Pen, point: tuple[float, float], kind: str) -> None:
    x, y = point
    if kind == "way":
        pen.box(x - 9, y - 9, 18, 18, "", "#009E73", 9)
        pen.text(x, y + 5, "✓", "m b k", "middle")
    else:
        pen.box(x - 9, y - 9, 18, 18, "paper", radius=0)
        pen.box(x - 9, y - 9, 18, 18, "bad", radius=0)
        pen.text(x, y + 5, "✕", "m w", "middle")


def _axes(
    pen: Pen, graph: ProgressGraph, left: float, bottom: float, size: float, width: float
) -> float:
    """The numbers of the steps, each between two fields, as far as they have room.

    Below them stands which CPU's steps each axis has. Returns where that ends.
    """
    for step in _counted(len(graph.steps[1]), 17, size):
        _number(pen, left - 18, bottom - step * size, 1, step)
    for step in _counted(len(graph.steps[0]), _wide(len(graph.steps[0])) + 3, size):
        _number(pen, left + step * size, bottom + 14, 0, step)
    y = bottom + 44
    for cpu, where in enumerate(("to the right", "upwards")):
        pen.cpu_chip(PAD, y, f"cpu{cpu}", cpu)
        words = fit(f"{where}: {graph.tasks[cpu]}", width - 2 * PAD - 46, 3, SANS, bold=True)
        y = pen.lines(PAD + 46, y, words, "b", LINE + 2) + 4
    return y


def _counted(steps: int, needed: float, size: float) -> range:
    """The steps whose numbers are shown: all, or every second, fifth or tenth."""
    every = next((each for each in (1, 2, 5) if each * size >= needed), 10)
    return range(every, steps + 1, every)


def _lists(pen: Pen, graph: ProgressGraph, y: float, width: float) -> float:
    """What each CPU's steps do: side by side, or one below the other in a narrow picture."""
    beside = width >= COLUMNS_FROM
    room = (width - 3 * PAD) / 2 if beside else width - 2 * PAD
    ends: list[float] = []
    for cpu, steps in enumerate(graph.steps):
        x, below = (PAD + cpu * (room + PAD), y) if beside else (PAD, max([y, *ends]))
        pen.cpu_chip(x, below, f"cpu{cpu}", cpu)
        below += LINE + 4
        for step, texts in enumerate(steps, 1):
            pen.text(x + 20, below, f"{step}.", "m s q", "end")
            words = fit(in_short(texts), room - 32, 99, SMALL)
            below = pen.lines(x + 28, below, words, "m s", LINE - 1)
        ends.append(below + 12)
    return max(ends)


def _number(pen: Pen, x: float, y: float, cpu: int, step: int) -> None:
    wide = _wide(step)
    pen.box(x - wide / 2, y - 7.5, wide, 14, fill=cpu_colour(cpu), radius=3)
    pen.text(x, y + 3.5, str(step), "m s", "middle", cpu_ink(cpu))


def _wide(step: int) -> float:
    return len(str(step)) * SMALL + 4


SKIPS = "a bow: a CPU takes a shorter branch, and skips steps of a longer one"


def _legend(pen: Pen, graph: ProgressGraph, x: float, y: float, width: float) -> float:
    present = {field for column in graph.fields for field in column}

    def words(text: str, y: float) -> float:
        return pen.lines(x + 28, y + 13, fit(text, width - x - PAD - 30, 9, SANS)) - 6

    for field in MEANINGS:
        if field in present and field != NEVER:
            _field(pen, x, y, 17, field)
            y = words(meaning_of(field, graph), y)
    if NEVER in present:
        y = words(f"left blank: {MEANINGS[NEVER]}", y)
    for (path, said), kind in zip(ways(graph), ("way", "way wrongway"), strict=True):
        if path:
            pen.path(f"M{number(x)} {number(y + 9)}h18", kind)
            y = words(said, y)
    steps = [step for path in (graph.good, graph.bad) for step in pairwise(path)]
    if any(_far(a - c, b - d) for (a, b), (c, d) in steps):
        pen.path(f"M{number(x)} {number(y + 14)}q9 -14 18 0", "way skip")
        y = words(SKIPS, y)
    return y
