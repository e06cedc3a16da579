"""The state graph of a small program as a picture, and in words.

Time runs downwards. CPUs differ in colour, in the dashes of their lines and, where there is room, by a chip with their number. What kind of end
an execution comes to is said by shape and sign, and by colour only again. A graph that nobody could read is not drawn: there are
coarser views of it (`VIEWS`; see `mmlocks.explain.state_graph`), and `readable` picks the finest that can be drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from itertools import pairwise, product
from typing import NamedTuple

from mmlocks.errors import ModelError
from mmlocks.explain.state_graph import (
    DEADLOCK,
    ENDS,
    GOOD,
    INITIAL,
    UNEXPLORED,
    VIOLATED,
    Edge,
    StateGraph,
    Vertex,
    positions,
    state_graph,
)
from mmlocks.machine import Machine
from mmlocks.scenarios import Checked
from mmlocks.sentences import counted
from mmlocks.show.draw import (
    LINE,
    MONO,
    SANS,
    Pen,
    cpu_colour,
    cpu_ink,
    document,
    fit,
    number,
    sans_width,
)
from mmlocks.show.layered import Layered, lay_out
from mmlocks.show.results import CALL, Shown, not_but, responsive, with_text
from mmlocks.show.text import WIDTH
from mmlocks.show.trace import holders

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
SHORTER = 6
"""Of so many ends that are the same to a reader all numbers are told."""
BOX = 22.0
SMALL = MONO * 11 / 12
TIMES = "×"  # noqa: RUF001
PAD = 12.0

STYLE = """<style>
.mml .edge{fill:none;stroke-width:1.7}.mml .wait{fill:none;stroke:transparent;stroke-width:11}
.mml .halo{paint-order:stroke;stroke:var(--paper);stroke-width:4px;stroke-linejoin:round}
.mml .open{fill:var(--paper);stroke:var(--ink);stroke-width:2}.mml .fine{fill:var(--paper);stroke:#009E73;stroke-width:1.6}
.mml .end{fill:#009E73;stroke:#009E73}.mml .lost{fill:var(--paper);stroke:var(--wrong);stroke-width:1.6;stroke-dasharray:4 2}
.mml .left{opacity:.5}
</style>""".replace("\n", "")

FATES = {
    "open": ("open", "may still end well or badly"),
    "good": ("fine", "ends well, whatever happens"),
    "bad": ("lost", "ends badly, whatever happens"),
    "endless": ("lost", "never ends"),
    "unknown": ("free", "not known: the budget was used up"),
}
"""For each fate the style of a vertex, and what the legend says."""

NO_EXECUTION = "so a path need not be an execution"
HELD = f"states in which the same CPUs hold the same locks are one ({NO_EXECUTION})"

VIEWS: dict[str, Callable[[StateGraph], StateGraph]] = {
    "all": lambda graph: graph,
    "chains": StateGraph.collapsed,
    "open": StateGraph.decided,
    "open chains": lambda graph: graph.decided().collapsed(),
    "open locks": lambda graph: graph.decided().merged(_held(graph.machine), HELD),
    "locks": lambda graph: graph.merged(_held(graph.machine), HELD),
    "positions": lambda graph: graph.merged(
        positions(graph.machine), f"states that differ in cells alone are one ({NO_EXECUTION})"
    ),
}
"""Views of a graph by name. In those by locks and by positions a path need not be an execution."""
READABLE, BY_LOCKS = ("all", "chains", "open", "open chains"), ("open locks", "locks")
"""Those that `readable` considers, the finest first; the latter only where nothing else can be drawn."""


class Leaf(NamedTuple):
    """What is drawn as one vertex: a vertex of the graph, or one of several copies of an end."""

    vertex: Vertex
    copy: bool
    text: str
    width: float


def too_large(graph: StateGraph) -> str:
    """Why the graph is not drawn; "" if it can be."""
    count = len(graph.vertices)
    if count > MOST:
        return f"This graph has {count:,} vertices; beyond {MOST} a drawing is a hairball, so there is none."
    needed = _lay_out(graph, 10.0)[1].width
    if needed > WIDEST:
        return f"This graph has so many states side by side that it would be {needed:,.0f} pixels wide, so it is not drawn."
    return ""


def _refusal(graph: StateGraph) -> str:
    refused = too_large(graph)
    return f"{refused} {way_out(graph)}" if refused else ""


def way_out(graph: StateGraph) -> str:
    """Which views of the same program can be drawn: tried, and named as `show_graph` takes them."""
    drawn = [choice for choice in _choices(graph) if not too_large(choice[1])][:3]
    if not drawn:
        return "No view of it is small enough; its data can be had as JSON (its to_json())."
    told = [f"{name} ({counted(len(view.vertices), 'vertex', 'vertices')})" for name, view in drawn]
    return (
        f"What can be drawn of the same program: {', or '.join(told)}. Without a view show_graph chooses the finest; "
        "the whole graph can be had as JSON (its to_json())."
    )


def _choices(graph: StateGraph) -> Iterator[tuple[str, StateGraph]]:
    """Views of the program that a graph is of, the finest first, and how `show_graph` is asked for each.

    First all of its states, then those that are left of them by the partial-order reduction, and at last the locks that are held.
    """
    itself, machine = not graph.quotient, graph.machine
    full = graph if itself and not graph.reduced else state_graph(machine)
    for name in READABLE:
        yield f"view={name!r}", VIEWS[name](full)
    less = graph if itself and graph.reduced else state_graph(machine, reduced=True)
    for name in READABLE:
        yield f"view={name!r}, reduced=True", VIEWS[name](less)
    for name in BY_LOCKS:
        yield f"view={name!r}", VIEWS[name](full)


def readable(graph: StateGraph) -> StateGraph:
    """The finest view of a graph that can be drawn, or the graph itself if none can.

    Of a graph that is whole, no quotient and not reduced, views of its program's reduced graph are considered, too.
    """
    if graph.quotient or graph.reduced or not graph.whole:
        views: Iterable[StateGraph] = (VIEWS[name](graph) for name in (*READABLE, *BY_LOCKS))
    else:
        views = (view for _, view in _choices(graph))
    return next((view for view in views if not too_large(view)), graph)


def _held(machine: Machine) -> Callable[[int], tuple[tuple[str, int, str], ...]]:
    """A key for `merged`: which CPU holds which lock, and how. What is left is the story of who waits for whom."""
    return lambda state: tuple(
        sorted((held.lock, held.cpu, held.mode) for held in holders(machine.layout, state))
    )


def picture(
    graph: StateGraph, title: str = "", width: float = WIDE, reduction: bool = False
) -> str:
    """The graph as an SVG document, at least `width` wide. With `reduction`, what the partial-order reduction leaves out is faint.

    No ids, no scripts and no clock: the same graph is always the same text. Raises ModelError, with the way out, for a graph that is
    too large to be drawn.
    """
    if refused := too_large(graph):
        raise ModelError(f"{refused} {way_out(graph)}")
    return _Drawing(graph, title or "State graph", width, reduction).document()


def show_graph(
    what: Checked | Machine | StateGraph,
    title: str = "",
    reduced: bool = False,
    reduction: bool = False,
    view: str = "",
) -> Shown:
    """A state graph as an object that a notebook draws: of a checked scenario, or of a program.

    `view` is "all" (every state), "chains" (sequences without a choice are one edge), "open" (only while the outcome is open), "open chains"
    (both), "positions" (states that differ in cells alone are one), "locks" (states in which the same CPUs hold the same locks are one), "open
    locks", or, if not given, the finest of them that can be read. A `StateGraph` is shown as it is, unless a view is asked for. `reduced`
    leaves out all but one order of steps that commute; `reduction` only makes them faint. Raises ModelError for what has no graph.
    """
    if view and view not in VIEWS:
        if view == "progress":
            raise ModelError(
                f"a progress graph is another function's: {CALL.format('show_progress')}."
            )
        raise ModelError(
            f"there is no view {view!r}. Known views: {', '.join(VIEWS)}; without one the finest is chosen."
        )
    note = ""
    if isinstance(what, StateGraph):
        graph = VIEWS[view](what) if view else what
    elif isinstance(what, Checked | Machine):
        if isinstance(what, Checked):
            title = (
                title or f"{what.scenario.name} on {what.kernel.name}: how it can go on from where"
            )
            what = what.machine
        whole = state_graph(what, reduced=reduced)
        graph = VIEWS[view](whole) if view else readable(whole)
        if graph is not whole and not view:
            all_of_it = f"the {'reduced' if reduced else 'whole'} graph has {counted(len(whole.vertices), 'vertex', 'vertices')}"
            note = f"The finest view that can be drawn: {all_of_it}."
    else:
        raise ModelError(
            f"show_graph takes what check(...) returned, a machine or a state graph: {CALL.format('show_graph')}. {not_but(what)}"
        )
    title = title or "State graph"
    refused = _refusal(graph)

    def text(width: int) -> str:
        return _told(graph, title, width, reduction, note, refused)

    if refused:
        said = "".join(f"<p>{escape(part)}</p>" for part in text(10_000).splitlines() if part)
        return Shown(text(WIDTH), lambda: said)

    def drawn(width: float) -> str:
        return "".join(_Drawing(graph, title, width, reduction, note).pieces())

    return Shown(text(WIDTH), lambda: with_text(responsive(drawn(WIDE), drawn(NARROW)), text))


def graph_text(
    graph: StateGraph, title: str = "", width: int = 100, reduction: bool = False
) -> str:
    """The graph in words: how large it is, how executions can end, and, if it is small enough to be drawn, every vertex and edge.

    With `reduction`, edges that the partial-order reduction leaves out are marked.
    """
    return _told(graph, title, width, reduction, "", _refusal(graph))


def _told(
    graph: StateGraph, title: str, width: int, reduction: bool, note: str, refused: str
) -> str:
    lines = [*fit(title, width, 99, 1), ""] if title else []
    for told in filter(None, (*summary(graph, numbers=not refused), note)):
        lines += fit(told, width, 99, 1)
    if refused:
        lines += ["", *fit(refused, width, 99, 1)]
        return "\n".join(lines) + "\n"
    for vertex in graph.vertices:
        lines.append("")
        about = "; ".join(graph.moment(vertex))
        lead = f"{vertex.number}  {_kind(graph, vertex)}"
        lines += _hanging(
            f"{lead}: {about}" if about and len(vertex.states) <= 1 else lead, width, 4
        )
        for edge in graph.leaving[vertex.number]:
            aside = "  (left out by the reduction)" if reduction and not edge.followed else ""
            lines += _hanging(f"    -> {edge.target}  {'; '.join(_moves(edge))}{aside}", width, 8)
    return "\n".join(lines) + "\n"


def summary(graph: StateGraph, numbers: bool = True) -> tuple[str, ...]:
    """How large the graph is, what it leaves out, and how executions can end: a sentence each.

    Without `numbers` vertices are counted instead: who does not see them has no use for those.
    """
    states = sum(len(vertex.states) for vertex in graph.vertices)
    many, steps = len(graph.vertices), len(graph.edges)
    size = f"{counted(many, 'state')} and {counted(steps, 'step')} between them"
    if graph.quotient:
        size = f"{counted(many, 'vertex', 'vertices')} and {counted(steps, 'edge')}"
    if states > many:
        size += f", which stand for {states:,} states"
    sentences = [f"{size}{'; ' if graph.quotient else ''}{', '.join(graph.quotient)}."]
    if graph.reduced:
        sentences.append(
            "Of steps whose order cannot matter one order is here (partial-order reduction), so this is not every state."
        )
    if graph.reason:
        sentences.append(
            f"Not whole: {graph.reason}. What lies beyond the vertices marked “…” is unknown."
        )
    ends = _ends(graph)
    told = [
        f"{_numbers(alike) if numbers else counted(len(alike), 'vertex', 'vertices')} ({said})"
        for said, alike in ends.items()
    ]
    shown = "; ".join(told[:4]) + (f"; and {len(told) - 4} more" if len(told) > 4 else "")
    sentences.append(f"Executions end in {shown}." if ends else "No execution ends.")
    if set(graph.fates) == {"good"}:
        sentences.append("It ends well, whatever happens.")
    undecided = graph.fates.count("open")
    if undecided:
        sentences.append(
            f"In {counted(undecided, 'vertex', 'vertices')} the outcome is open; every other has only one way to end."
        )
    return tuple(sentences)


def _ends(graph: StateGraph) -> dict[str, list[Vertex]]:
    """The vertices in which executions end, by what is said of them."""
    ends: dict[str, list[Vertex]] = {}
    for vertex in graph.vertices:
        if vertex.kind in ENDS and vertex.kind != UNEXPLORED:
            message = f": {vertex.violation.message}" if vertex.violation is not None else ""
            ends.setdefault(f"{_kind(graph, vertex)}{message}", []).append(vertex)
    return ends


def _numbers(vertices: Sequence[Vertex]) -> str:
    shown = ", ".join(str(vertex.number) for vertex in vertices[:SHORTER])
    return shown + (f" and {len(vertices) - SHORTER} more" if len(vertices) > SHORTER else "")


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
        [f"{cell.name}: {cell.text(cell.of(vertex.states[0]))}" for cell in cells]
        if len(cells) <= 24
        else []
    )


def _kind(graph: StateGraph, vertex: Vertex) -> str:
    """What a vertex is, in a few words."""
    fate = FATES[graph.fates[vertex.number]][1]
    broken = (
        vertex.violation.oracle if vertex.violation is not None and vertex.kind == VIOLATED else ""
    )
    if vertex.kind == UNEXPLORED:
        return "not explored"
    if vertex.kind == INITIAL:
        return f"the start, {fate}"
    if vertex.kind not in ENDS:
        return fate
    if len(vertex.states) > 1:
        return f"{fate}, breaking {broken}" if broken else fate
    return {GOOD: "a good end", DEADLOCK: "a deadlock"}.get(vertex.kind, f"a broken rule, {broken}")


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
        if vertex.kind in ENDS
        and arriving[vertex.number] > SHARED
        and not graph.leaving[vertex.number]
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


SIDEWAYS = '<p style="margin:.2em 12px">Wider than the page: move it sideways to see all of it.</p>'
"""Said above a drawing that has to be moved."""
CUT = "What a step does stands in full in the text of this graph, and where the pointer rests on its arrow."
"""Said below a drawing of which some words had no room."""


class _Drawing:
    """One picture while it is drawn."""

    def __init__(
        self, graph: StateGraph, title: str, width: float, reduction: bool, note: str = ""
    ) -> None:
        self.graph, self.title, self.reduction, self.note = graph, title, reduction, note
        self.text = _told(graph, title, WIDTH, reduction, note, "")
        self.asked, self.cut = width, False
        self.pen = Pen()
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
        """The picture in one piece."""
        parts = self.drawn()
        return document(self.width, self.height, self.title, self.text, [STYLE, *parts])

    def pieces(self) -> Iterator[str]:
        """The picture for a page that is as wide as was asked for: what is wider can be moved sideways, and its words stay where they are."""
        if self.width <= self.asked:
            yield self.document()
            return
        parts = self.drawn()
        above, under = self.breaks
        yield document(self.asked, self.top, self.title, "", [STYLE, *parts[:above]])
        graph = document(
            self.width,
            self.below - self.top,
            self.title,
            self.text,
            [STYLE, *parts[above:under]],
            self.top,
        )
        yield SIDEWAYS
        yield f'<div style="overflow-x:auto"><div style="min-width:{number(self.width)}px">{graph}</div></div>'
        if self.height > self.below + PAD:
            yield document(
                self.asked,
                self.height - self.below,
                "How it can end",
                "",
                [STYLE, *parts[under:]],
                self.below,
            )

    def drawn(self) -> list[str]:
        """Everything, from top to bottom; `breaks` says where the words end, and where they begin again."""
        self.top = self.heading()
        above = len(self.pen.parts)
        bottom = self.top + max(0, self.laid.layers - 1) * self.row + BOX
        paths = self.paths()
        for edge, path, (source, _) in zip(self.graph.edges, paths, self.pairs, strict=True):
            self.edge(edge, path, source)
        for index, leaf in enumerate(self.leaves):
            self.vertex(index, leaf)
        self.crossed = [
            point
            for path in paths
            for piece in pairwise(path)
            for point in (_along(piece, share / 40) for share in range(41))
        ]
        labelled = list(zip(self.graph.edges, paths, self.pairs, strict=True))
        for dull in (False, True):  # the ways out have what room the others leave
            for edge, path, (_, target) in labelled:
                leaf = self.leaves[target]
                if (leaf.copy and leaf.vertex.kind == GOOD) == dull:
                    self.label(edge, path, "" if dull else _said(edge))
        self.below = bottom + 10
        self.breaks = above, len(self.pen.parts)
        self.height = self.notes(bottom + 14)
        return self.pen.parts

    # -- words above and below --

    def heading(self) -> float:
        pen, y = self.pen, PAD + 14
        for line in fit(self.title, self.asked - 2 * PAD, 3, SANS * 1.35):
            pen.text(PAD, y, line, "h")
            y += 20
        for sentence in filter(None, (*summary(self.graph), self.note)):
            if sentence.startswith("Executions end in"):
                continue  # said below, beside the signs
            for line in fit(sentence, self.asked - 2 * PAD, 9, SANS):
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
                self.chip(x + 17, y + 8, cpu)
            elif sort == "left":
                self.pen.path(f"M{number(x)} {number(y + 8)}H{number(x + 34)}", "line left")
            else:
                self.frame(x, y - 1, 34, 18, FATES[text][0])
            lines = fit(words, self.asked - PAD - x - 42, 3, SANS)
            for index, line in enumerate(lines):
                pen.text(x + 42, y + 12.5 + index * LINE, line)
            x += size
            if len(lines) > 1:
                x, y = PAD, y + 22 + (len(lines) - 1) * LINE

        return y + 22

    def notes(self, y: float) -> float:
        """What the ends are, under the drawing; returns the height of it all."""
        for said, alike in _ends(self.graph).items():
            first = alike[0]
            states = sum(len(vertex.states) for vertex in alike)
            if first.kind == GOOD and states == len(alike) > 3:
                continue  # they differ in what the cells hold, which the pointer shows
            if states > len(alike):
                kind = _kind(self.graph, first)
                said = f"{kind} ({states:,} states){said.removeprefix(kind)}"
            sign = _leaf(first, True).text.partition(" ")[0]
            text = f"{sign} {_numbers(alike)}"
            leaf = Leaf(first, True, text, len(text) * MONO + 12)
            self.sign(PAD, y, leaf)
            for line in fit(said, self.asked - 2 * PAD - leaf.width - 8, 9, SANS):
                self.pen.text(PAD + leaf.width + 8, y + 15.5, line)
                y += LINE
            y += 12
        if self.cut:
            for line in fit(CUT, self.asked - 2 * PAD, 3, SANS):
                self.pen.text(PAD, y + 12, line, "q")
                y += LINE
            y += 8
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
        drawn = f"M{a} {b}C{c} {number(y + 18)} {c} {number(y - 24)} {number(x - 6)} {number(y - BOX / 2 - 4)}"
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
        said = _said(edge)
        if len(self.graph.edges) > CHIPS or not path:
            self.cut = True
            return
        runs = _runs(edge)
        size = sum(13 + (len(f"{TIMES}{count}") * 6.7 if count > 1 else 0) + 4 for _, count in runs)
        tries = (
            [fit(words, room, 1, SMALL)[0] for room in (330, 190, 110)]
            if self.spelt and words
            else []
        )
        shares = (0.5, 0.4, 0.6, 0.3, 0.7, 0.22, 0.78)
        for text, left, share in product([*tries, ""], (False, True), shares):
            x, y = _along(path, share)
            chips = (x - 8, y - 8, x - 6 + size, y + 8)
            beside = (
                (chips[0] - len(text) * SMALL - 4, chips[0] - 2)
                if left
                else (chips[2] - 4, chips[2] + len(text) * SMALL)
            )
            box = (
                (min(chips[0], beside[0]), y - 8, max(chips[2], beside[1]), y + 8)
                if text
                else chips
            )
            if (
                box[0] >= 4
                and box[2] <= self.width - 4
                and not any(_overlap(box, other) for other in self.taken)
                and not (
                    text
                    and any(
                        _within(point, (beside[0], y - 7, beside[1], y + 7))
                        for point in self.crossed
                    )
                )
            ):
                self.taken.append(box)
                end = self.chips(x, y, runs)
                if text:
                    self.pen.text(
                        x - 10 if left else end - 6, y + 4, text, "m s halo", "end" if left else ""
                    )
                self.cut |= text != said or len(edge.moves) > 1
                return
        self.cut = True

    def chips(self, x: float, y: float, runs: Sequence[tuple[int, int]]) -> float:
        """Who takes how many steps; returns where that ends."""
        for cpu, count in runs:
            self.chip(x, y, cpu)
            x += 9
            if count > 1:
                self.pen.text(x, y + 4, f"{TIMES}{count}", "m s halo")
                x += len(f"{TIMES}{count}") * 6.7
            x += 8
        return x


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


def _within(point: tuple[float, float], box: Box) -> bool:
    return box[0] < point[0] < box[2] and box[1] < point[1] < box[3]


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
