"""The progress graph of two CPUs: how far the one has come is how far to the right, how far the other, how high up.

An execution is a path of steps to the right and upwards. Where both would hold a lock there is a wall, and a corner between walls from which
no way leads on is a deadlock. Dijkstra drew such pictures in 1968; they were first printed by Coffman, Elphick and Shoshani ("System
deadlocks", ACM Computing Surveys 3, 1971, figure 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import takewhile

from mmlocks.errors import ModelError
from mmlocks.machine import Machine
from mmlocks.machine.task import Task
from mmlocks.scenarios import Checked
from mmlocks.search.graph import ENDS, SMALL, StateGraph, state_graph
from mmlocks.search.shortest import shortest
from mmlocks.search.verdict import Meter
from mmlocks.show.draw import LINE, MONO, SANS, Pen, cpu_colour, cpu_ink, document, fit, number
from mmlocks.show.results import Shown, responsive, with_text
from mmlocks.show.trace import holders

WIDE, NARROW = 960, 440
MOST = 60
"""More steps of one CPU than this are too small to be seen."""
PAD = 12.0
SMALL_MONO = MONO * 11 / 12

STYLE = """<style>
.mml .cell{fill:var(--card);stroke:var(--rule);stroke-width:1}.mml .sure{fill:#009E7333;stroke:#009E73;stroke-width:1}
.mml .wall{fill:var(--quiet);stroke:var(--quiet);opacity:.75}.mml .doom{fill:var(--paper);stroke:var(--wrong);stroke-width:1.2}
.mml .way{fill:none;stroke:var(--ink);stroke-width:3;stroke-linejoin:round}.mml .wrongway{stroke:var(--wrong);stroke-dasharray:7 4}
.mml .halo{paint-order:stroke;stroke:var(--paper);stroke-width:4px;stroke-linejoin:round}
</style>""".replace("\n", "")

WALL, NEVER = "wall", "never"


@dataclass(frozen=True)
class ProgressGraph:
    """The grid of joint positions, and two paths through it.

    `fields[x][y]` is "open", "good" or "bad" (what can still come, as in `StateGraph.fates`), "wall" (both CPUs would hold a lock: which, says
    `locks`), or "never" (no execution comes there). `steps` tells what each CPU's steps do; `bad` is the shortest path that
    breaks a rule, `good` one that does not; each is a sequence of (x, y).
    """

    tasks: tuple[str, str]
    steps: tuple[tuple[str, ...], tuple[str, ...]]
    fields: tuple[tuple[str, ...], ...]
    locks: dict[tuple[int, int], tuple[str, ...]]
    bad: tuple[tuple[int, int], ...] = ()
    good: tuple[tuple[int, int], ...] = ()
    message: str = ""


def progress_graph(machine: Machine) -> ProgressGraph:
    """The progress graph of a program of two CPUs that do not loop.

    Raises ModelError for any other, and for one that is too large to be looked at.
    """
    if len(machine.cpus) != 2:
        raise ModelError(
            f"a progress graph has two axes, so it takes two CPUs; this program has {len(machine.cpus)}."
        )
    graph = state_graph(machine)
    if not graph.whole:
        raise ModelError(f"this program is too large for a progress graph: {graph.reason}.")
    depths = [_depths(task) for task in machine.tasks]
    length = [max(depth, default=0) for depth in depths]
    if max(length) > MOST:
        raise ModelError(
            f"a CPU takes {max(length)} steps here; more than {MOST} cannot be seen in a progress graph."
        )

    def place(state: int) -> tuple[int, int]:
        x, y = (depths[cpu][machine.node(state, cpu).index] for cpu in machine.cpus)
        return x, y

    fates: dict[tuple[int, int], set[str]] = {}
    held: list[dict[int, set[tuple[str, str]]]] = [{}, {}]
    for vertex in graph.vertices:
        for state in vertex.states:
            at = place(state)
            fates.setdefault(at, set()).add(graph.fates[vertex.number])
            now = holders(machine.layout, state)
            for cpu in machine.cpus:
                mine = {(holding.lock, holding.mode) for holding in now if holding.cpu == cpu}
                known = held[cpu].setdefault(at[cpu], mine)
                held[cpu][at[cpu]] = known & mine
    locks = {}
    fields = []
    for x in range(length[0] + 1):
        column = []
        for y in range(length[1] + 1):
            both = _contended(held[0].get(x, set()), held[1].get(y, set()))
            if (x, y) in fates:
                column.append(fates[x, y].pop() if len(fates[x, y]) == 1 else "open")
            elif both:
                locks[x, y] = both
                column.append(WALL)
            else:
                column.append(NEVER)
        fields.append(tuple(column))
    worst = shortest(machine, Meter(SMALL))
    bad = _path(machine, worst.schedule, place) if worst is not None else ()
    return ProgressGraph(
        (machine.tasks[0].name, machine.tasks[1].name),
        (_words(graph, depths, 0, length[0]), _words(graph, depths, 1, length[1])),
        tuple(fields), locks, bad, _path(machine, _good(graph), place), worst.violation.message if worst else "",
    )  # fmt: skip


def _depths(task: Task) -> list[int]:
    """For each node of a task the most steps that lead there. Raises ModelError if it loops."""
    depths = [0 for _ in task.nodes]
    for _ in range(len(depths) + 1):
        changed = False
        for node in task.nodes:
            for after in node.edges.values():
                if depths[after] <= depths[node.index]:
                    depths[after], changed = depths[node.index] + 1, True
        if not changed:
            return depths
    raise ModelError(f"cpu{task.cpu} goes round in a loop, so there is no telling how far it has come.")


def _contended(one: set[tuple[str, str]], other: set[tuple[str, str]]) -> tuple[str, ...]:
    """The locks that two CPUs would both hold, though one of them alone may."""
    shared = {"read", "section"}
    return tuple(
        sorted(
            {
                lock
                for lock, mode in one
                for same, how in other
                if lock == same and not (mode in shared and how in shared)
            }
        )
    )


def _words(graph: StateGraph, depths: Sequence[Sequence[int]], cpu: int, length: int) -> tuple[str, ...]:
    """What a CPU's steps do; of one that does different things at different times, as much as is the same."""
    machine = graph.machine
    told: list[set[str]] = [set() for _ in range(length)]
    for edge in graph.edges:
        if edge.moves[0].cpu == cpu and graph.vertices[edge.target].states:
            node = machine.node(graph.vertices[edge.source].states[0], cpu)
            told[depths[cpu][node.index]].add(edge.moves[0].words)
    words = []
    for texts in told:
        same = takewhile(lambda letters: len(set(letters)) == 1, zip(*texts, strict=False))
        prefix = "".join(letters[0] for letters in same)
        words.append(prefix if len(texts) == 1 else f"{prefix.rstrip()}…" if prefix.strip() else "")
    return tuple(words)


def _good(graph: StateGraph) -> tuple[int, ...]:
    """A schedule that ends well, if there is one: the first that goes deep."""
    if graph.fates[0] not in ("open", "good"):
        return ()
    at, cpus = 0, []
    while graph.vertices[at].kind not in ENDS:
        edge = next(edge for edge in graph.leaving[at] if graph.fates[edge.target] in ("open", "good"))
        cpus.append(edge.moves[0].cpu)
        at = edge.target
    return tuple(cpus)


def _path(machine: Machine, cpus: Sequence[int], place: object) -> tuple[tuple[int, int], ...]:
    assert callable(place)
    state = machine.initial
    path = [place(state)]
    for cpu in cpus:
        taken = machine.step(state, cpu)
        assert taken is not None
        state = taken.state
        if taken.violation is not None:  # the step did not happen: half a field in its direction
            x, y = path[-1]
            path.append((x + (cpu == 0) / 2, y + (cpu == 1) / 2))
        else:
            path.append(place(state))
    return tuple(path)


# -- in words and drawn -----------------------------------------------------------------------------------------------

SIGNS = {"open": "o", "good": "+", "bad": "x", "endless": "x", WALL: "#", NEVER: " "}


def progress_text(graph: ProgressGraph, title: str = "") -> str:
    """The grid in characters, the top row first, and what its signs mean."""
    lines = [title, ""] if title else []
    rows = reversed(range(len(graph.fields[0])))
    lines += ["  " + " ".join(SIGNS[column[y]] for column in graph.fields) for y in rows]
    lines += [
        "",
        f"to the right: cpu0, {graph.tasks[0]}",
        *(f"  {n}. {text}" for n, text in enumerate(graph.steps[0], 1)),
    ]
    lines += [
        f"upwards: cpu1, {graph.tasks[1]}",
        *(f"  {n}. {text}" for n, text in enumerate(graph.steps[1], 1)),
    ]
    names = sorted({lock for locks in graph.locks.values() for lock in locks})
    lines.append("o may still end well or badly; + ends well; x ends badly; blank: no execution comes there")
    if names:
        lines.append(f"# a wall: both would hold {' or '.join(names)}")
    if graph.message:
        lines.append(f"the shortest way to go wrong: {graph.message}")
    return "\n".join(line.rstrip() for line in lines) + "\n"


def progress_picture(graph: ProgressGraph, title: str = "", width: float = WIDE) -> str:
    """The same as an SVG document."""
    title = title or "Progress graph"
    pen = Pen()
    pen.parts.append(STYLE)
    y = PAD + 14
    for line in fit(title, width - 2 * PAD, 3, SANS * 1.35):
        pen.text(PAD, y, line, "h")
        y += 20
    columns, rows = len(graph.fields), len(graph.fields[0])
    wordy = width >= 800
    beside = (
        min(300.0, max((len(text) for text in graph.steps[1]), default=0) * SMALL_MONO + 30)
        if wordy
        else 34.0
    )
    room = width - 2 * PAD - beside - (0 if wordy else 8)
    size = max(11.0, min(52.0, room / columns, 640 / rows))
    left, top = PAD + beside, y + 8
    bottom = top + rows * size
    _fields(pen, graph, left, bottom, size)
    for path, kind in ((graph.good, "way"), (graph.bad, "way wrongway")):
        points = [(left + (x + 0.5) * size, bottom - (y + 0.5) * size) for x, y in path]
        if len(points) > 1:
            shift = 2.5 if kind == "way" else -2.5
            drawn = "L".join(f"{number(a + shift)} {number(b + shift)}" for a, b in points)
            pen.path(f"M{drawn}", kind)
            _end(pen, points[-1], kind)
    y = _axes(pen, graph, left, bottom, size, wordy, width) + 12
    right = left + columns * size + 36
    if width - right > 330:
        y = max(y, _legend(pen, graph, right, top, width))
    else:
        y = _legend(pen, graph, PAD, y, width)
    return document(width, y + PAD, title, progress_text(graph, title), pen.parts)


def _fields(pen: Pen, graph: ProgressGraph, left: float, bottom: float, size: float) -> None:
    for x, column in enumerate(graph.fields):
        for y, field in enumerate(column):
            if field == NEVER:
                continue
            place = (left + x * size + 1, bottom - (y + 1) * size + 1)
            locks = ", ".join(graph.locks.get((x, y), ()))
            about = f"cpu0 after {x} steps, cpu1 after {y}: {MEANINGS[field]}{f': {locks}' if locks else ''}"
            pen.parts.append(f"<g><title>{escape(about)}</title>")
            _field(pen, *place, size - 2, field)
            pen.parts.append("</g>")


def _field(pen: Pen, x: float, y: float, size: float, field: str) -> None:
    kinds = {"open": "cell", "good": "sure", WALL: "wall"}
    pen.box(x, y, size, size, kinds.get(field, "doom"), radius=2)
    if field not in kinds:
        pen.hatch(x, y, size, size, 6)


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
    pen: Pen, graph: ProgressGraph, left: float, bottom: float, size: float, wordy: bool, width: float
) -> float:  # fmt: skip
    """Which step lies between which fields; the words stand beside the axes, or below if there is no room."""
    each = size >= 15
    for step, text in enumerate(graph.steps[1]):
        y = bottom - (step + 1) * size
        if each or step % 5 == 4:
            _number(pen, left - 18, y, 1, step + 1)
            if wordy and size >= 13:
                pen.text(left - 32, y + 4, fit(text, 262, 1, SMALL_MONO)[0] if text else "", "m s", "end")
    for step in range(len(graph.steps[0])):
        if each or step % 5 == 4:
            _number(pen, left + (step + 1) * size, bottom + 14, 0, step + 1)
    y = bottom + 42
    for cpu in (0, 1):
        where = "to the right" if cpu == 0 else "upwards"
        pen.chip(PAD, y, f"cpu{cpu}", cpu_colour(cpu), cpu_ink(cpu))
        pen.text(PAD + 46, y, f"{where}: {graph.tasks[cpu]}", "b")
        y += LINE + 4
        if cpu == 0 or not wordy or size < 13:
            for step, text in enumerate(graph.steps[cpu], 1):
                for index, line in enumerate(fit(text or "…", width - 2 * PAD - 50, 3, SMALL_MONO)):
                    if not index:
                        pen.text(PAD + 32, y, f"{step}.", "m s q", "end")
                    pen.text(PAD + 40, y, line, "m s")
                    y += LINE - 1
            y += 8
    return y


def _number(pen: Pen, x: float, y: float, cpu: int, step: int) -> None:
    wide = len(str(step)) * SMALL_MONO + 4
    pen.box(x - wide / 2, y - 7.5, wide, 14, fill=cpu_colour(cpu), radius=3)
    pen.text(x, y + 3.5, str(step), "m s", "middle", cpu_ink(cpu))


MEANINGS = {
    "open": "may still end well or badly",
    "good": "ends well, whatever happens",
    "bad": "ends badly, whatever happens",
    "endless": "never ends",
    WALL: "both would hold a lock",
}


def _legend(pen: Pen, graph: ProgressGraph, x: float, y: float, width: float) -> float:
    present = {field for column in graph.fields for field in column}
    for field, meaning in MEANINGS.items():
        if field in present:
            _field(pen, x, y, 17, field)
            names = sorted({lock for locks in graph.locks.values() for lock in locks})
            words = f"a wall: both would hold {' or '.join(names)}" if field == WALL else meaning
            for line in fit(words, width - x - PAD - 30, 2, SANS):
                pen.text(x + 28, y + 13, line)
                y += LINE
            y += 7
    for path, kind, words in (
        (graph.good, "way", "one way that ends well"),
        (graph.bad, "way wrongway", f"the shortest way to go wrong: {graph.message}"),
    ):
        if path:
            pen.path(f"M{number(x)} {number(y + 9)}h18", kind)
            for line in fit(words, width - x - PAD - 30, 4, SANS):
                pen.text(x + 28, y + 13, line)
                y += LINE
            y += 7
    return y


def show_progress(what: Checked | Machine, title: str = "") -> Shown:
    """The progress graph of a checked scenario, or of a program, of two CPUs, as an object that a notebook draws.

    Raises ModelError for a program that has none.
    """
    if isinstance(what, Checked):
        title = title or f"{what.scenario.name} on {what.kernel.name}: how far each CPU has come"
        what = what.machine
    graph = progress_graph(what)
    text = progress_text(graph, title)
    return Shown(
        text,
        lambda: with_text(
            responsive(progress_picture(graph, title), progress_picture(graph, title, NARROW)), text
        ),
    )
