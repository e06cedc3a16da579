"""The state graph of a small program as a picture.

Time runs downwards. CPUs differ in colour, in the dashes of their lines and, where there is room,
by a chip with their number. Shapes and signs say which kind of end an execution comes to; colours
only repeat it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from mmlocks.errors import ModelError
from mmlocks.explain.state_graph import ENDS, GOOD, UNEXPLORED, Edge, StateGraph
from mmlocks.show.draw import (
    LINE,
    MONO,
    SANS,
    WIDE,
    Pen,
    cpu_colour,
    document,
    fit,
    number,
    sans_width,
)
from mmlocks.show.graph_labels import Labels, cpu_box
from mmlocks.show.graph_layout import Leaf, lay_out_graph, leaf_of
from mmlocks.show.graph_text import (
    FATES,
    ends_of,
    graph_text,
    kind_of,
    moves_of,
    numbers_of,
    story,
    summary,
)
from mmlocks.show.graph_views import refusal
from mmlocks.show.text import WIDTH

WORDS = 60
"""In graphs of at most so many edges, each says what it does if there is room beside it."""
CHIPS = 90
"""In graphs of at most so many edges, each says which CPU takes the step."""
DASHES = ("", "7 4", "2 3", "10 3 2 3", "4 2", "14 4")
"""The dashes tell CPUs apart for readers who do not see their colours."""


BOX = 22.0


PAD = 12.0


STYLE = """<style>
.mml .edge{fill:none;stroke-width:1.7}
.mml .wait{fill:none;stroke:transparent;stroke-width:11}
.mml .halo{paint-order:stroke;stroke:var(--paper);stroke-width:4px;stroke-linejoin:round}
.mml .open{fill:var(--paper);stroke:var(--ink);stroke-width:2}
.mml .fine{fill:var(--paper);stroke:#009E73;stroke-width:1.6}
.mml .end{fill:#009E73;stroke:#009E73}
.mml .lost{fill:var(--paper);stroke:var(--wrong);stroke-width:1.6;stroke-dasharray:4 2}
.mml .left{opacity:.5}
</style>""".replace("\n", "")


def graph_picture(
    graph: StateGraph, title: str = "", width: float = WIDE, reduction: bool = False
) -> str:
    """The graph as an SVG document, at least `width` wide.

    With `reduction`, what the partial-order reduction leaves out is faint. No ids, no scripts and
    no clock: the same graph is always the same text. Raises ModelError for a graph that is too
    large to be drawn; the message says what can be drawn instead.
    """
    if refused := refusal(graph):
        raise ModelError(refused)
    return Drawing(graph, title or "State graph", width, reduction).document()


SIDEWAYS = '<p style="margin:.2em 12px">Wider than the page: move it sideways to see all of it.</p>'
"""Stands above a drawing that is wider than the page."""


CUT = (
    "What a step does stands in full in the text of this graph, "
    "and where the pointer rests on its arrow."
)
"""Stands below a drawing in which some words had no room."""


class Drawing:
    """The picture of a graph while it is drawn."""

    def __init__(
        self, graph: StateGraph, title: str, width: float, reduction: bool, note: str = ""
    ) -> None:
        self.graph, self.title, self.reduction, self.note = graph, title, reduction, note
        self.text = graph_text(graph, title, WIDTH, reduction, note)
        self.asked = width
        self.pen = Pen()
        wordy = len(graph.edges) <= WORDS
        self.spelt = False  # whether vertices stand so far apart that words fit between them
        for gap in (150.0, 110.0, 34.0, 22.0, 10.0):
            self.spelt = wordy and gap >= 100
            if gap < 100 or wordy:
                self.leaves, self.laid, self.pairs = lay_out_graph(graph, gap)
                if self.laid.width + 2 * PAD + (gap if self.spelt else 0) <= width:
                    break
        self.width = max(width, self.laid.width + 2 * PAD)
        self.row = 76.0 if self.spelt else 56.0 if len(graph.edges) <= CHIPS else 48.0
        self.left = (self.width - self.laid.width) / 2 - (45 if self.spelt else 0)
        self.left = max(self.left, PAD)
        self.top = 0.0
        self.labels = Labels(self.pen, self.width, self.spelt, len(graph.edges) <= CHIPS)

    def document(self) -> str:
        """The picture in one piece."""
        parts = self.drawn()
        return document(self.width, self.height, self.title, self.text, [STYLE, *parts])

    def pieces(self) -> Iterator[str]:
        """The picture for a page of the width that was asked for.

        A drawing that is wider can be moved sideways. The words above and below it stay in place.
        """
        if self.width <= self.asked:
            yield self.document()
            return
        parts = self.drawn()
        above, under = self.breaks
        yield document(self.asked, self.top, self.title, "", [STYLE, *parts[:above]])
        tall, graph = self.below - self.top, [STYLE, *parts[above:under]]
        drawn = document(self.width, tall, self.title, self.text, graph, self.top)
        inner = f'<div style="min-width:{number(self.width)}px">{drawn}</div>'
        yield SIDEWAYS
        yield f'<div style="overflow-x:auto">{inner}</div>'
        if self.height > self.below + PAD:
            tall, ends = self.height - self.below, [STYLE, *parts[under:]]
            yield document(self.asked, tall, "How it can end", "", ends, self.below)

    def drawn(self) -> list[str]:
        """All elements from top to bottom. `breaks` has the first and the last of the drawing."""
        self.top = self.heading()
        above = len(self.pen.parts)
        bottom = self.top + max(0, self.laid.layers - 1) * self.row + BOX
        paths = self.paths()
        for edge, path, (source, _) in zip(self.graph.edges, paths, self.pairs, strict=True):
            self.edge(edge, path, source)
        for index, leaf in enumerate(self.leaves):
            self.vertex(index, leaf)
        self.labels.avoid(paths)
        ends = [self.leaves[target] for _, target in self.pairs]
        for dull in (False, True):  # edges to good ends take the room that the others leave
            for edge, path, leaf in zip(self.graph.edges, paths, ends, strict=True):
                if (leaf.copy and leaf.vertex.kind == GOOD) == dull:
                    self.labels.put(edge, path, words=not dull)
        self.below = bottom + 10
        self.breaks = above, len(self.pen.parts)
        self.height = self.notes(bottom + 14)
        return self.pen.parts

    # -- words above and below --

    def heading(self) -> float:
        pen, y = self.pen, PAD + 14
        y = pen.lines(PAD, y, fit(self.title, self.asked - 2 * PAD, 3, SANS * 1.35), "h", 20)
        for sentence in filter(None, (*summary(self.graph), self.note)):
            if not sentence.startswith("Executions end in"):  # `notes` says that, beside the signs
                y = pen.lines(PAD, y, fit(sentence, self.asked - 2 * PAD, 9, SANS), "q")
        return self.legend(y + 4) + 16

    def legend(self, y: float) -> float:
        """Which line is which CPU's, and what the frames mean; returns where it ends."""
        pen, x = self.pen, PAD
        items: list[tuple[str, int, str]] = [
            ("cpu", task.cpu, f"cpu{task.cpu}: {task.name}") for task in self.graph.machine.tasks
        ]
        if self.reduction and not all(edge.followed for edge in self.graph.edges):
            items.append(("left", 0, "faint: left out by the reduction"))
        present = {
            self.graph.fates[vertex.number]
            for vertex in self.graph.vertices
            if vertex.kind not in ENDS
        }
        items += [("fate", 0, fate) for fate in FATES if fate in present]
        for sort, cpu, text in items:
            words = FATES[text][1] if sort == "fate" else text
            size = 44 + sans_width(words) + 20
            if x > PAD and x + size > self.asked - PAD:
                x, y = PAD, y + 22
            if sort == "cpu":
                self.line(f"M{number(x)} {number(y + 8)}H{number(x + 34)}", cpu, 2.2)
                cpu_box(pen, x + 17, y + 8, cpu)
            elif sort == "left":
                self.pen.path(f"M{number(x)} {number(y + 8)}H{number(x + 34)}", "line left")
            else:
                self.frame(x, y - 1, 34, 18, FATES[text][0])
            lines = fit(words, self.asked - PAD - x - 42, 3, SANS)
            pen.lines(x + 42, y + 12.5, lines)
            x += size
            if len(lines) > 1:
                x, y = PAD, y + 22 + (len(lines) - 1) * LINE
        return y + 22

    def notes(self, y: float) -> float:
        """What the ends are, below the drawing; returns the height of the whole picture."""
        for said, alike in ends_of(self.graph).items():
            first = alike[0]
            states = sum(len(vertex.states) for vertex in alike)
            if first.kind == GOOD and states == len(alike) > 3:
                continue  # they differ in what the cells hold, which the pointer shows
            if states > len(alike):
                kind = kind_of(self.graph, first)
                said = f"{kind} ({states:,} states){said.removeprefix(kind)}"
            sign = leaf_of(first, True).text.partition(" ")[0]
            text = f"{sign} {numbers_of(alike)}"
            leaf = Leaf(first, True, text, len(text) * MONO + 12)
            self.sign(PAD, y, leaf)
            lines = fit(said, self.asked - 2 * PAD - leaf.width - 8, 9, SANS)
            y = self.pen.lines(PAD + leaf.width + 8, y + 15.5, lines) - 3.5
        if self.labels.cut:
            y = self.pen.lines(PAD, y + 12, fit(CUT, self.asked - 2 * PAD, 3, SANS), "q") - 4
        return y + PAD - 4

    # -- vertices --

    def y(self, layer: float) -> float:
        return self.top + layer * self.row + BOX / 2

    def vertex(self, index: int, leaf: Leaf) -> None:
        x = self.left + self.laid.x[index] - leaf.width / 2
        y = self.y(self.laid.layer[index]) - BOX / 2
        self.labels.taken.append((x, y, x + leaf.width, y + BOX))
        with self.pen.about(story(self.graph, leaf.vertex)):
            if leaf.vertex.kind in ENDS:
                self.sign(x, y, leaf)
            else:
                self.frame(x, y, leaf.width, BOX, FATES[self.graph.fates[leaf.vertex.number]][0])
                self.pen.text(x + leaf.width / 2, y + 15, leaf.text, "m b", "middle")

    def frame(self, x: float, y: float, width: float, height: float, kind: str) -> None:
        self.pen.box(x, y, width, height, kind, radius=5)
        if kind == "lost":
            self.pen.hatch(x + 2, y + 2, width - 4, height - 4, 6)

    def sign(self, x: float, y: float, leaf: Leaf) -> None:
        """An end: a filled box with a tick, or a hatched one with a cross."""
        if leaf.vertex.kind == GOOD:
            self.pen.box(x, y, leaf.width, BOX, "end", radius=11)
            self.pen.text(x + leaf.width / 2, y + 15, leaf.text, "m k", "middle")
        elif leaf.vertex.kind == UNEXPLORED:
            self.pen.box(x, y, leaf.width, BOX, "free", radius=5)
            self.pen.text(x + leaf.width / 2, y + 15, leaf.text, "m q", "middle")
        else:
            self.pen.box(x, y, leaf.width, BOX, "paper", radius=0)
            self.pen.hatch(x, y, leaf.width, BOX, 5)
            self.pen.box(x, y, leaf.width, BOX, "bad", radius=0)
            self.pen.box(x + 3.5, y + 3.5, leaf.width - 7, BOX - 7, "paper", radius=0)
            self.pen.text(x + leaf.width / 2, y + 15, leaf.text, "m w", "middle")

    # -- edges --

    def paths(self) -> list[list[tuple[float, float]]]:
        """The points through which each edge goes.

        The edges of a vertex leave and arrive side by side, in the order of where they lead.
        """
        points = [
            [(self.left + x, self.y(layer)) for x, layer in route] for route in self.laid.routes
        ]
        ports: dict[tuple[int, bool], list[tuple[float, int, int]]] = {}
        for index, (path, (source, target)) in enumerate(zip(points, self.pairs, strict=True)):
            if not path:
                continue
            down = path[-1][1] > path[0][1]
            ports.setdefault((source, down), []).append((path[1][0], index, 0))
            ports.setdefault((target, not down), []).append((path[-2][0], index, -1))
        for (vertex, below), ends in ports.items():
            room = self.leaves[vertex].width - 12
            for place, (_, index, end) in enumerate(sorted(ends)):
                share = (place + 0.5) / len(ends) - 0.5
                x, y = points[index][end]
                points[index][end] = (x + share * room, y + (BOX / 2 if below else -BOX / 2))
        return points

    def edge(self, edge: Edge, path: Sequence[tuple[float, float]], source: int) -> None:
        if not path:
            drawn, tip = self.loop(source)
        else:
            up = path[-1][1] < path[0][1]
            end = (path[-1][0], path[-1][1] + (6 if up else -6))
            drawn, tip = _curve([*path[:-1], end]), (path[-1], -1 if up else 1)
        (x, y), direction = tip
        a, b, c, d = map(number, (x, y, x - 4.2, y - 8 * direction))
        colour = cpu_colour(edge.cpus[0]) if len(edge.cpus) == 1 else "var(--quiet)"
        left = "left" if self.reduction and not edge.followed else ""
        with self.pen.about("\n".join(moves_of(edge)), left):
            self.pen.path(drawn, "wait")
            self.line(drawn, edge.cpus[0] if len(edge.cpus) == 1 else None)
            self.pen.parts.append(f'<path style="fill:{colour}" d="M{a} {b}L{c} {d}h8.4Z"/>')

    def loop(self, index: int) -> tuple[str, tuple[tuple[float, float], int]]:
        x = self.left + self.laid.x[index] + self.leaves[index].width / 2
        y = self.y(self.laid.layer[index])
        a, b, c, d, e = map(number, (x, y + 5, x + 24, y + 18, y - 24))
        drawn = f"M{a} {b}C{c} {d} {c} {e} {number(x - 6)} {number(y - BOX / 2 - 4)}"
        return drawn, ((x - 6, y - BOX / 2), 1)

    def line(self, drawn: str, cpu: int | None, thick: float = 0) -> None:
        if cpu is None:
            self.pen.path(drawn, "line")
            return
        dash = DASHES[cpu % len(DASHES)]
        style = f"stroke:{cpu_colour(cpu)}" + (f";stroke-dasharray:{dash}" if dash else "")
        style += f";stroke-width:{thick}" if thick else ""
        self.pen.parts.append(f'<path class="edge" style="{style}" d="{drawn}"/>')


def _curve(points: Sequence[tuple[float, float]]) -> str:
    drawn = f"M{number(points[0][0])} {number(points[0][1])}"
    for (x1, y1), (x2, y2) in pairwise(points):
        middle = (y1 + y2) / 2
        a, b, c, d = map(number, (x1, middle, x2, y2))
        drawn += f"C{a} {b} {c} {b} {c} {d}"
    return drawn
