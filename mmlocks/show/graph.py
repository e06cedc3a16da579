"""The state graph of a small program as a picture, and in words.

Time runs downwards. CPUs differ in colour, in the dashes of their lines and, where there is room, by a chip with their number. What kind of end
an execution comes to is said by shape and sign, and by colour only again. A graph that nobody could read is not drawn: there are
coarser views of it (see `mmlocks.search.graph`), and `readable` picks the finest that can be drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise
from typing import NamedTuple

from mmlocks.errors import ModelError
from mmlocks.machine import Machine
from mmlocks.scenarios import Checked
from mmlocks.search.graph import (
    DEADLOCK,
    ENDS,
    GOOD,
    INITIAL,
    UNEXPLORED,
    VIOLATED,
    Edge,
    StateGraph,
    Vertex,
    state_graph,
)
from mmlocks.show.draw import LINE, MONO, SANS, Pen, cpu_colour, cpu_ink, document, fit, number, sans_width
from mmlocks.show.layered import Layered, lay_out
from mmlocks.show.results import Shown, responsive, with_text

WIDE, NARROW = 960, 440
MOST = 150
"""More vertices than this are no picture any more."""
WIDEST = 1600
"""Nor is a graph whose widest layer needs more room than this, in pixels."""
SHARED = 3
"""An end to which more edges lead than this is drawn at each vertex from which they come: else nothing but edges to it could be seen."""
WORDS, CHIPS = 60, 90
"""Up to so many edges each says in words what it does, if there is room beside it; up to so many, whose it is."""
DASHES = ("", "7 4", "2 3", "10 3 2 3", "4 2", "14 4")
"""What tells CPUs apart for those who do not see their colours."""
COARSER = "Look at a coarser view (what is still open, or states merged by positions), at the reduced graph, or at its data as JSON."
BOX = 22.0
SMALL = MONO * 11 / 12
TIMES = "×"  # noqa: RUF001
PAD = 12.0

STYLE = """<style>
.mml .edge{fill:none;stroke-width:1.7}.mml .wait{fill:none;stroke:transparent;stroke-width:11}
.mml .halo{paint-order:stroke;stroke:var(--paper);stroke-width:4px;stroke-linejoin:round}
.mml .open{fill:var(--paper);stroke:var(--ink);stroke-width:2}.mml .fine{fill:var(--paper);stroke:#009E73;stroke-width:1.6}
.mml .end{fill:#009E73;stroke:#009E73}.mml .lost{fill:var(--paper);stroke:var(--wrong);stroke-width:1.6;stroke-dasharray:4 2}
.mml .left{opacity:.3}
</style>""".replace("\n", "")

FATES = {
    "open": ("open", "may still end well or badly"),
    "good": ("fine", "ends well, whatever happens"),
    "bad": ("lost", "ends badly, whatever happens"),
    "endless": ("lost", "never ends"),
    "unknown": ("free", "not known: the budget was used up"),
}
"""For each fate the style of a vertex, and what the legend says."""


class Leaf(NamedTuple):
    """What is drawn as one vertex: a vertex of the graph, or one of several copies of an end."""

    vertex: Vertex
    copy: bool
    text: str
    width: float


def too_large(graph: StateGraph) -> str:
    """Why the graph is not drawn, and what to do about it; "" if it can be."""
    count = len(graph.vertices)
    if count > MOST:
        return (
            f"This graph has {count:,} vertices; beyond {MOST} a drawing is a hairball, so there is none. "
            f"{COARSER}"
        )
    needed = _lay_out(graph, 10.0)[1].width
    if needed > WIDEST:
        return (
            f"This graph has so many states side by side that it would be {needed:,.0f} pixels wide, so it is not drawn. "
            f"{COARSER}"
        )
    return ""


def readable(graph: StateGraph) -> StateGraph:
    """The finest view of a graph that can be drawn: itself, without chains, or only the part whose outcome is open.

    If none can, the coarsest of them.
    """
    views = (graph, graph.collapsed(), graph.decided(), graph.decided().collapsed())
    return next((view for view in views if not too_large(view)), views[-1])


def picture(graph: StateGraph, title: str = "", width: float = WIDE, reduction: bool = False) -> str:
    """The graph as an SVG document, at least `width` wide. With `reduction`, what the partial-order reduction leaves out is faint.

    No ids, no scripts and no clock: the same graph is always the same text. Raises ModelError, with the way out, for a graph that is
    too large to be drawn.
    """
    if refused := too_large(graph):
        raise ModelError(refused)
    return _Drawing(graph, title or "State graph", width, reduction).document()


def show_graph(
    what: Checked | Machine | StateGraph, title: str = "", reduced: bool = False, reduction: bool = False
) -> Shown:
    """A state graph as an object that a notebook draws: of a checked scenario, or of a program, in the finest view that can be read.

    A `StateGraph` is shown as it is. `reduced` leaves out all but one order of steps that commute; `reduction` only makes them faint.
    """
    if isinstance(what, StateGraph):
        graph = what
    elif isinstance(what, Checked):
        title = title or f"{what.scenario.name} on {what.kernel.name}: how it can go on from where"
        graph = readable(state_graph(what.machine, reduced=reduced))
    elif isinstance(what, Machine):
        graph = readable(state_graph(what, reduced=reduced))
    else:
        raise TypeError(f"show_graph takes what check() returned, a machine or a state graph, not {what!r}")
    title = title or "State graph"
    text = graph_text(graph, title, reduction=reduction)
    if refused := too_large(graph):
        return Shown(text, lambda: with_text(f"<p>{escape(refused)}</p>", text))

    def drawn(width: float) -> str:
        drawing = _Drawing(graph, title, width, reduction)
        svg = drawing.document()
        if drawing.width <= width:
            return svg
        return (
            f'<div style="overflow-x:auto"><div style="min-width:{number(drawing.width)}px">{svg}</div></div>'
        )

    return Shown(text, lambda: with_text(responsive(drawn(WIDE), drawn(NARROW)), text))


def graph_text(graph: StateGraph, title: str = "", width: int = 100, reduction: bool = False) -> str:
    """The graph in words: how large it is, how executions can end, and, if it is small enough to be drawn, every vertex and edge.

    With `reduction`, edges that the partial-order reduction leaves out are marked.
    """
    lines = [title, ""] if title else []
    for sentence in summary(graph):
        lines += fit(sentence, width, 99, 1)
    if refused := too_large(graph):
        lines += ["", *fit(refused, width, 99, 1)]
        return "\n".join(lines) + "\n"
    for vertex in graph.vertices:
        lines.append("")
        about = "; ".join(graph.moment(vertex))
        lead = f"{vertex.number}  {_kind(graph, vertex)}"
        lines += _hanging(f"{lead}: {about}" if about and len(vertex.states) <= 1 else lead, width, 4)
        for edge in graph.leaving[vertex.number]:
            aside = "  (left out by the reduction)" if reduction and not edge.followed else ""
            lines += _hanging(f"    -> {edge.target}  {'; '.join(_moves(edge))}{aside}", width, 8)
    return "\n".join(lines) + "\n"


def summary(graph: StateGraph) -> tuple[str, ...]:
    """How large the graph is, what it leaves out, and how executions can end: a sentence each."""
    states = sum(len(vertex.states) for vertex in graph.vertices)
    size = f"{len(graph.vertices):,} states and {len(graph.edges):,} steps between them"
    if graph.quotient:
        size = f"{len(graph.vertices):,} vertices and {len(graph.edges):,} edges"
    if states > len(graph.vertices):
        size += f", which stand for {states:,} states"
    sentences = [f"{size}{'; ' if graph.quotient else ''}{', '.join(graph.quotient)}."]
    if graph.reduced:
        sentences.append(
            "Of steps whose order cannot matter one order is here (partial-order reduction), so this is not every state."
        )
    if graph.reason:
        sentences.append(f"Not whole: {graph.reason}. What lies beyond the vertices marked “…” is unknown.")
    ends = [
        f"{vertex.number} ({_kind(graph, vertex)}{': ' + vertex.violation.message if vertex.violation else ''})"
        for vertex in graph.vertices
        if vertex.kind in ENDS and vertex.kind != UNEXPLORED
    ]
    shown = "; ".join(ends[:4]) + (f"; and {len(ends) - 4} more" if len(ends) > 4 else "")
    sentences.append(f"Executions end in {shown}." if ends else "No execution ends.")
    if set(graph.fates) == {"good"}:
        sentences.append("It ends well, whatever happens.")
    undecided = graph.fates.count("open")
    if undecided:
        one = undecided == 1
        sentences.append(
            f"In {undecided} {'vertex' if one else 'vertices'} the outcome is open; every other has only one way to end."
        )
    return tuple(sentences)


def story(graph: StateGraph, vertex: Vertex) -> str:
    """What the pointer shows over a vertex: which it is, and where every CPU stands."""
    lines = [f"{vertex.number}: {_kind(graph, vertex)}"]
    if len(vertex.states) > 1:
        lines.append(f"stands for {len(vertex.states):,} states; the first of them:")
    lines += graph.moment(vertex)
    if vertex.states:
        lines += _values(graph, vertex)
    return "\n".join(lines)


def _values(graph: StateGraph, vertex: Vertex) -> list[str]:
    """What the cells hold that differ somewhere in the graph, if they are few."""
    cells = [graph.machine.layout.cells[index] for index in graph.differing_cells]
    return (
        [f"{cell.name}: {cell.text(cell.of(vertex.states[0]))}" for cell in cells] if len(cells) <= 24 else []
    )


def _kind(graph: StateGraph, vertex: Vertex) -> str:
    """What a vertex is, in a few words."""
    fate = FATES[graph.fates[vertex.number]][1]
    rule = f": {vertex.violation.oracle}" if vertex.violation is not None and vertex.kind == VIOLATED else ""
    if vertex.kind == UNEXPLORED:
        return "not explored"
    if vertex.kind == INITIAL:
        return f"the start, {fate}"
    if vertex.kind not in ENDS:
        return fate
    if len(vertex.states) > 1:
        return f"{fate}{rule}"
    return {GOOD: "a good end", DEADLOCK: "a deadlock"}.get(vertex.kind, f"a broken rule{rule}")


def _moves(edge: Edge) -> list[str]:
    return [f"cpu{move.cpu}: {move.words}" for move in edge.moves]


def _hanging(text: str, width: int, indent: int) -> list[str]:
    first, *rest = fit(text.strip(), width - indent, 99, 1)
    lead = " " * (len(text) - len(text.lstrip()))
    return [lead + first, *(" " * indent + line for line in rest)]


# -- drawn ------------------------------------------------------------------------------------------------------------


def _lay_out(graph: StateGraph, gap: float) -> tuple[list[Leaf], Layered, list[tuple[int, int]]]:
    """What is drawn as a vertex, where it goes, and between which of them each edge runs."""
    arriving = [0 for _ in graph.vertices]
    for edge in graph.edges:
        arriving[edge.target] += 1
    shared = {
        vertex.number
        for vertex in graph.vertices
        if vertex.kind in ENDS and arriving[vertex.number] > SHARED and not graph.leaving[vertex.number]
    }
    leaves: list[Leaf] = []
    places: dict[tuple[int, int], int] = {}
    for vertex in graph.vertices:
        if vertex.number not in shared:
            places[vertex.number, -1] = len(leaves)
            leaves.append(_leaf(vertex, False))
    pairs = []
    for edge in graph.edges:
        key = (edge.target, edge.source if edge.target in shared else -1)
        if key not in places:
            places[key] = len(leaves)
            leaves.append(_leaf(graph.vertices[edge.target], True))
        pairs.append((places[edge.source, -1], places[key]))
    return leaves, lay_out(pairs, [leaf.width for leaf in leaves], gap), pairs


def _leaf(vertex: Vertex, copy: bool) -> Leaf:
    sign = {GOOD: "✓", VIOLATED: "✕", DEADLOCK: "✕", UNEXPLORED: "…"}.get(vertex.kind, "")
    text = "start" if vertex.number == 0 and not sign else str(vertex.number)
    text = f"{sign} {text}".strip()
    if vertex.kind in (VIOLATED, DEADLOCK) and not copy:
        text += f" {vertex.violation.oracle if vertex.violation is not None else vertex.kind}"
    return Leaf(vertex, copy, text, max(24.0, len(text) * MONO + 12))


class Label(NamedTuple):
    """Where an edge says whose it is: the middle of the chip, and the words beside it."""

    x: float
    y: float
    words: str


class _Drawing:
    """One picture while it is drawn."""

    def __init__(self, graph: StateGraph, title: str, width: float, reduction: bool) -> None:
        self.graph, self.title, self.reduction = graph, title, reduction
        self.pen = Pen()
        self.pen.parts.append(STYLE)
        wordy = len(graph.edges) <= WORDS
        self.spelt = False
        for gap in (150.0, 110.0, 34.0, 22.0, 10.0):
            self.spelt = wordy and gap >= 100
            if gap < 100 or wordy:
                self.leaves, self.laid, self.pairs = _lay_out(graph, gap)
                if self.laid.width + 2 * PAD + (gap if self.spelt else 0) <= width:
                    break
        self.width = max(width, self.laid.width + 2 * PAD)
        self.row = 76.0 if self.spelt else 56.0 if len(graph.edges) <= CHIPS else 48.0
        self.left = (self.width - self.laid.width) / 2 - (45 if self.spelt else 0)
        self.left = max(self.left, PAD)
        self.top = 0.0
        self.taken: list[tuple[float, float, float, float]] = []

    def document(self) -> str:
        self.top = self.heading()
        bottom = self.top + max(0, self.laid.layers - 1) * self.row + BOX
        paths = self.paths()
        for edge, path, (source, _) in zip(self.graph.edges, paths, self.pairs, strict=True):
            self.edge(edge, path, source)
        for index, leaf in enumerate(self.leaves):
            self.vertex(index, leaf)
        labelled = list(zip(self.graph.edges, paths, self.pairs, strict=True))
        for dull in (False, True):  # the ways out have what room the others leave
            for edge, path, (_, target) in labelled:
                leaf = self.leaves[target]
                if (leaf.copy and leaf.vertex.kind == GOOD) == dull:
                    self.label(edge, path, "" if dull else _said(edge))
        height = self.notes(bottom + 14)
        text = graph_text(self.graph, self.title, reduction=self.reduction)
        return document(self.width, height, self.title, text, self.pen.parts)

    # -- words above and below --

    def heading(self) -> float:
        pen, y = self.pen, PAD + 14
        for line in fit(self.title, self.width - 2 * PAD, 3, SANS * 1.35):
            pen.text(PAD, y, line, "h")
            y += 20
        for sentence in summary(self.graph):
            if sentence.startswith("Executions end in"):
                continue  # said below, beside the signs
            for line in fit(sentence, self.width - 2 * PAD, 4, SANS):
                pen.text(PAD, y, line, "q")
                y += LINE
        return self.legend(y + 4) + 16

    def legend(self, y: float) -> float:
        """Whose line is which, and what the frames mean; returns where it ends."""
        pen, x = self.pen, PAD
        items: list[tuple[str, int, str]] = [
            ("cpu", task.cpu, f"cpu{task.cpu}: {task.name}") for task in self.graph.machine.tasks
        ]
        if self.reduction and not all(edge.followed for edge in self.graph.edges):
            items.append(("left", 0, "faint: left out by the reduction"))
        present = {
            self.graph.fates[vertex.number] for vertex in self.graph.vertices if vertex.kind not in ENDS
        }
        items += [("fate", 0, fate) for fate in FATES if fate in present]
        for sort, cpu, text in items:
            words = FATES[text][1] if sort == "fate" else text
            size = 44 + sans_width(words) + 20
            if x > PAD and x + size > self.width - PAD:
                x, y = PAD, y + 22
            if sort == "cpu":
                self.line(f"M{number(x)} {number(y + 8)}H{number(x + 34)}", cpu, 2.2)
                self.chip(x + 17, y + 8, cpu)
            elif sort == "left":
                self.pen.path(f"M{number(x)} {number(y + 8)}H{number(x + 34)}", "line left")
            else:
                self.frame(x, y - 1, 34, 18, FATES[text][0])
            for line in fit(words, self.width - x - 50, 1, SANS * 0.9):
                pen.text(x + 42, y + 12.5, line)
            x += size
        return y + 22

    def notes(self, y: float) -> float:
        """What the ends are, under the drawing; returns the height of it all."""
        for vertex in self.graph.vertices:
            if vertex.kind not in ENDS or vertex.kind == UNEXPLORED:
                continue
            leaf = _leaf(vertex, True)
            if vertex.kind == GOOD and len(vertex.states) == 1 and self.graph.ends[GOOD] > 3:
                continue  # they differ in what the cells hold, which the pointer shows
            said = _kind(self.graph, vertex)
            said += f" ({len(vertex.states):,} states)" if len(vertex.states) > 1 else ""
            said += f". {vertex.violation.message}" if vertex.violation is not None else ""
            self.sign(PAD, y, leaf)
            for line in fit(said, self.width - 2 * PAD - leaf.width - 8, 5, SANS):
                self.pen.text(PAD + leaf.width + 8, y + 15.5, line)
                y += LINE
            y += 12
        return y + PAD - 4

    # -- vertices --

    def y(self, layer: float) -> float:
        return self.top + layer * self.row + BOX / 2

    def vertex(self, index: int, leaf: Leaf) -> None:
        x = self.left + self.laid.x[index] - leaf.width / 2
        y = self.y(self.laid.layer[index]) - BOX / 2
        self.taken.append((x, y, x + leaf.width, y + BOX))
        self.pen.parts.append(f"<g><title>{escape(story(self.graph, leaf.vertex))}</title>")
        if leaf.vertex.kind in ENDS:
            self.sign(x, y, leaf)
        else:
            self.frame(x, y, leaf.width, BOX, FATES[self.graph.fates[leaf.vertex.number]][0])
            self.pen.text(x + leaf.width / 2, y + 15, leaf.text, "m b", "middle")
        self.pen.parts.append("</g>")

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
        """The points through which each edge goes. Those of one vertex leave and arrive side by side, in the order of where they lead."""
        points = [[(self.left + x, self.y(layer)) for x, layer in route] for route in self.laid.routes]
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
        words = "\n".join(_moves(edge))
        left = ' class="left"' if self.reduction and not edge.followed else ""
        self.pen.parts.append(f"<g{left}><title>{escape(words)}</title>")
        if not path:
            drawn, tip = self.loop(source)
        else:
            up = path[-1][1] < path[0][1]
            end = (path[-1][0], path[-1][1] + (6 if up else -6))
            drawn, tip = _curve([*path[:-1], end]), (path[-1], -1 if up else 1)
        self.pen.path(drawn, "wait")
        self.line(drawn, edge.cpus[0] if len(edge.cpus) == 1 else None)
        (x, y), direction = tip
        a, b, c, d = map(number, (x, y, x - 4.2, y - 8 * direction))
        colour = f"fill:{cpu_colour(edge.cpus[0])}" if len(edge.cpus) == 1 else "fill:var(--quiet)"
        self.pen.parts.append(f'<path style="{colour}" d="M{a} {b}L{c} {d}h8.4Z"/></g>')

    def loop(self, index: int) -> tuple[str, tuple[tuple[float, float], int]]:
        x = self.left + self.laid.x[index] + self.leaves[index].width / 2
        y = self.y(self.laid.layer[index])
        a, b, c = map(number, (x, y + 5, x + 24))
        drawn = (
            f"M{a} {b}C{c} {number(y + 18)} {c} {number(y - 24)} {number(x - 6)} {number(y - BOX / 2 - 4)}"
        )
        return drawn, ((x - 6, y - BOX / 2), 1)

    def line(self, drawn: str, cpu: int | None, thick: float = 0) -> None:
        if cpu is None:
            self.pen.path(drawn, "line")
            return
        dash = DASHES[cpu % len(DASHES)]
        style = f"stroke:{cpu_colour(cpu)}" + (f";stroke-dasharray:{dash}" if dash else "")
        style += f";stroke-width:{thick}" if thick else ""
        self.pen.parts.append(f'<path class="edge" style="{style}" d="{drawn}"/>')

    def chip(self, x: float, y: float, cpu: int) -> None:
        self.pen.box(x - 6.5, y - 7.5, 13, 15, fill=cpu_colour(cpu), radius=3)
        self.pen.text(x, y + 4, str(cpu), "m s", "middle", cpu_ink(cpu))

    def label(self, edge: Edge, path: Sequence[tuple[float, float]], words: str) -> None:
        """Whose step it is and, where there is room, what it does; nothing rather than one thing on top of another."""
        if len(self.graph.edges) > CHIPS or not path:
            return
        runs = _runs(edge)
        size = sum(13 + (len(f"{TIMES}{count}") * 6.7 if count > 1 else 0) + 4 for _, count in runs)
        tries = [fit(words, room, 1, SMALL)[0] for room in (330, 190, 110)] if self.spelt and words else []
        for text in [*tries, ""]:
            room = size + len(text) * SMALL
            for share in (0.5, 0.4, 0.6, 0.3, 0.7, 0.22, 0.78):
                x, y = _along(path, share)
                box = (x - 8, y - 8, x - 8 + room + 2, y + 8)
                if box[2] <= self.width - 4 and not any(_overlap(box, other) for other in self.taken):
                    self.taken.append(box)
                    self.say(x, y, runs, text)
                    return

    def say(self, x: float, y: float, runs: Sequence[tuple[int, int]], words: str) -> None:
        for cpu, count in runs:
            self.chip(x, y, cpu)
            x += 9
            if count > 1:
                self.pen.text(x, y + 4, f"{TIMES}{count}", "m s halo")
                x += len(f"{TIMES}{count}") * 6.7
            x += 8
        if words:
            self.pen.text(x - 6, y + 4, words, "m s halo")


def _said(edge: Edge) -> str:
    """What an edge does, where there is room for one line: its first step."""
    return edge.moves[0].words + ("; …" if len(edge.moves) > 1 else "")


def _runs(edge: Edge) -> list[tuple[int, int]]:
    """Who takes how many steps in a row."""
    runs: list[tuple[int, int]] = []
    for move in edge.moves:
        if runs and runs[-1][0] == move.cpu:
            runs[-1] = (move.cpu, runs[-1][1] + 1)
        else:
            runs.append((move.cpu, 1))
    return runs


def _curve(points: Sequence[tuple[float, float]]) -> str:
    drawn = f"M{number(points[0][0])} {number(points[0][1])}"
    for (x1, y1), (x2, y2) in pairwise(points):
        middle = (y1 + y2) / 2
        a, b, c, d = map(number, (x1, middle, x2, y2))
        drawn += f"C{a} {b} {c} {b} {c} {d}"
    return drawn


def _along(points: Sequence[tuple[float, float]], share: float) -> tuple[float, float]:
    """The point of the first piece of a curve at that share of its way."""
    (x1, y1), (x2, y2) = points[0], points[1]
    t, s = share, 1 - share
    x = x1 * (s**3 + 3 * s * s * t) + x2 * (3 * s * t * t + t**3)
    y = y1 * s**3 + (y1 + y2) / 2 * (3 * s * s * t + 3 * s * t * t) + y2 * t**3
    return x, y


Box = tuple[float, float, float, float]


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
