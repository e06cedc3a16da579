"""The progress graph of two CPUs: how far the one has come is how far to the right, how far the other, how high up.

An execution is a path of steps to the right and upwards. Where both would hold a lock there is a wall, and a corner between walls from which
no way leads on is a deadlock. Dijkstra drew such pictures in 1968; they were first printed by Coffman, Elphick and Shoshani ("System
deadlocks", ACM Computing Surveys 3, 1971, figure 2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby, pairwise, takewhile

from mmlocks.errors import ModelError
from mmlocks.explain.state_graph import ENDS, SMALL, StateGraph, state_graph
from mmlocks.machine import Machine
from mmlocks.machine.task import Task
from mmlocks.scenarios import Checked
from mmlocks.search.shortest import shortest
from mmlocks.search.verdict import Meter
from mmlocks.show.draw import LINE, MONO, SANS, Pen, cpu_colour, cpu_ink, document, fit, number
from mmlocks.show.results import CALL, Shown, not_but, responsive, with_text
from mmlocks.show.text import WIDTH, paragraph
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
.mml .skip{stroke-width:1.6}
.mml .halo{paint-order:stroke;stroke:var(--paper);stroke-width:4px;stroke-linejoin:round}
</style>""".replace("\n", "")

WALL, NEVER = "wall", "never"


Steps = tuple[tuple[str, ...], ...]
"""Of one CPU, for each step what it does; more than one text where it depends on what has happened before."""

INSTEAD = "Its state graph can be looked at instead: with show_graph in a notebook, with `mmlocks graph` on the command line."


@dataclass(frozen=True)
class ProgressGraph:
    """The grid of joint positions, and two paths through it.

    `fields[x][y]` is "open", "good" or "bad" (what can still come, as in `StateGraph.fates`), "wall" (both CPUs would hold a lock: which, says
    `locks`), or "never" (no execution comes there). `steps` tells what each CPU's steps do: for each all that it may be. `bad` is the shortest path that
    breaks a rule, `good` one that does not; each is a sequence of (x, y). A step along a shorter branch of the code goes more than one field on.
    """

    tasks: tuple[str, str]
    steps: tuple[Steps, Steps]
    fields: tuple[tuple[str, ...], ...]
    locks: dict[tuple[int, int], tuple[str, ...]]
    bad: tuple[tuple[float, float], ...] = ()
    good: tuple[tuple[float, float], ...] = ()
    message: str = ""


def progress_graph(machine: Machine) -> ProgressGraph:
    """The progress graph of a program of two CPUs that do not loop.

    Raises ModelError for any other, and for one that is too large to be looked at.
    """
    if len(machine.cpus) != 2:
        raise ModelError(
            f"a progress graph has two axes, so it takes two CPUs; this program has {len(machine.cpus)}. {INSTEAD}"
        )
    graph = state_graph(machine)
    if not graph.whole:
        raise ModelError(
            f"this program is too large for a progress graph: {graph.reason}. {INSTEAD}"
        )
    depths = [_depths(task) for task in machine.tasks]
    length = [max(depth, default=0) for depth in depths]
    if max(length) > MOST:
        raise ModelError(
            f"a CPU takes {max(length)} steps here; more than {MOST} cannot be seen in a progress graph. {INSTEAD}"
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
        tuple(fields), locks, bad, _path(machine, _good(graph, place, bad), place), worst.violation.message if worst else "",
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
    raise ModelError(
        f"cpu{task.cpu} goes round in a loop, so there is no telling how far it has come. {INSTEAD}"
    )


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


def _words(graph: StateGraph, depths: Sequence[Sequence[int]], cpu: int, length: int) -> Steps:
    """What a CPU's steps do, in the order in which it is met."""
    machine = graph.machine
    told: list[dict[str, None]] = [{} for _ in range(length)]
    for edge in graph.edges:
        if edge.moves[0].cpu == cpu and graph.vertices[edge.target].states:
            node = machine.node(graph.vertices[edge.source].states[0], cpu)
            told[depths[cpu][node.index]][edge.moves[0].words] = None
    return tuple(map(tuple, told))


def in_short(texts: Sequence[str]) -> str:
    """All that a step may do, in one sentence: what differs stands side by side, and of many things the first two are told."""
    if len(texts) < 2:
        return texts[0] if texts else "breaks a rule, whenever it is taken"
    words = [text.split() for text in texts]
    front = _alike(words)
    back = _alike([line[: front - len(line) - 1 : -1] for line in words])
    middles = list(dict.fromkeys(" ".join(line[front : len(line) - back]) for line in words))
    if front and all(middles) and len(middles) <= 3 and max(map(len, middles)) <= 30:
        return " ".join(
            [*words[0][:front], " or ".join(middles), *words[0][len(words[0]) - back :]]
        )
    more = len(texts) - 2
    return f"{texts[0]}; or: {texts[1]}" + (
        f"; or {more} other{'s' * (more > 1)}" if more > 0 else ""
    )


def _alike(lines: Sequence[Sequence[str]]) -> int:
    """In how many words all lines begin alike."""
    return len(list(takewhile(lambda words: len(set(words)) == 1, zip(*lines, strict=False))))


def _good(
    graph: StateGraph, place: Callable[[int], tuple[int, int]], bad: Sequence[tuple[float, float]]
) -> tuple[int, ...]:
    """A schedule that ends well, if there is one: the first that goes deep, and stays off the field in which the bad one ends."""
    if graph.fates[0] not in ("open", "good"):
        return ()
    near = {(round(x + up), round(y + up)) for x, y in bad[-2:] for up in (-0.1, 0.1)}
    for avoided in (near, set[tuple[int, int]]()):
        way: dict[int, tuple[int, int]] = {}
        work = [(0, (-1, -1))]
        while work:
            at, came = work.pop()
            if at in way:
                continue
            way[at] = came
            vertex = graph.vertices[at]
            if vertex.kind in ENDS:
                return _back(way, at)
            for edge in reversed(graph.leaving[at]):
                states = graph.vertices[edge.target].states
                if graph.fates[edge.target] in ("open", "good") and place(states[0]) not in avoided:
                    work.append((edge.target, (at, edge.moves[0].cpu)))
    return ()


def _back(way: dict[int, tuple[int, int]], at: int) -> tuple[int, ...]:
    cpus = []
    while at:
        at, cpu = way[at]
        cpus.append(cpu)
    return tuple(reversed(cpus))


def _path(
    machine: Machine, cpus: Sequence[int], place: Callable[[int], tuple[int, int]]
) -> tuple[tuple[float, float], ...]:
    state = machine.initial
    path: list[tuple[float, float]] = [place(state)]
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


def progress_text(graph: ProgressGraph, title: str = "", width: int = 100) -> str:
    """The grid in characters, the top row first, what its signs mean, both ways, and every step in full."""
    lines = [*paragraph(title, width), ""] if title else []
    rows = reversed(range(len(graph.fields[0])))
    apart = " " if 2 * len(graph.fields) + 2 <= width else ""
    lines += ["  " + apart.join(SIGNS[column[y]] for column in graph.fields) for y in rows]
    lines.append("")
    for cpu, where in enumerate(("to the right", "upwards")):
        lines += paragraph(f"{where}: cpu{cpu}, {graph.tasks[cpu]}", width, 4)
        for step, texts in enumerate(graph.steps[cpu], 1):
            first, *others = texts or [in_short(())]
            lines += paragraph(f"  {step}. {first}", width, 6)
            for other in others:
                lines += paragraph(f"      or: {other}", width, 10)
    present = {field for column in graph.fields for field in column}
    names = sorted({lock for locks in graph.locks.values() for lock in locks})
    for field, meaning in MEANINGS.items():
        if field in present:
            lines += paragraph(
                f"{SIGNS[field].strip() or 'blank:'} {_meaning(field, meaning, names)}", width, 2
            )
    for path, words in _ways(graph):
        if path:
            lines += paragraph(f"{words}: {way_words(path)}", width, 2)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _meaning(field: str, meaning: str, names: Sequence[str]) -> str:
    return f"a wall: both would hold {' or '.join(names)}" if field == WALL else meaning


def _ways(graph: ProgressGraph) -> tuple[tuple[tuple[tuple[float, float], ...], str], ...]:
    wrong = (
        f"the shortest way to go wrong ({graph.message.rstrip('.')})"
        if graph.message
        else "the shortest way to go wrong"
    )
    return ((graph.good, "one way that ends well"), (graph.bad, wrong))


def way_words(path: Sequence[tuple[float, float]]) -> str:
    """A path in words: how many steps of whom, in turn, and whether the last one breaks a rule."""
    cpus = [0 if after[0] != before[0] else 1 for before, after in pairwise(path)]
    turns = [(cpu, len(list(steps))) for cpu, steps in groupby(cpus)]
    broken = len(path) > 1 and path[-1] != (int(path[-1][0]), int(path[-1][1]))
    told = ", then ".join(f"{many} step{'s' * (many != 1)} of cpu{cpu}" for cpu, many in turns)
    return (told or "no step at all") + (", the last of which breaks the rule" if broken else "")


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


def _way(pen: Pen, points: Sequence[tuple[float, float]], kind: str, size: float) -> None:
    """A path from field to field; a step that goes further, past fields to which nobody comes, is a thin bow."""
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
    """Which step lies between which fields, as far as the numbers have room."""
    for step in _counted(len(graph.steps[1]), 17, size):
        _number(pen, left - 18, bottom - step * size, 1, step)
    for step in _counted(len(graph.steps[0]), _wide(len(graph.steps[0])) + 3, size):
        _number(pen, left + step * size, bottom + 14, 0, step)
    y = bottom + 44
    for cpu, where in enumerate(("to the right", "upwards")):
        pen.chip(PAD, y, f"cpu{cpu}", cpu_colour(cpu), cpu_ink(cpu))
        for line in fit(f"{where}: {graph.tasks[cpu]}", width - 2 * PAD - 46, 3, SANS, bold=True):
            pen.text(PAD + 46, y, line, "b")
            y += LINE + 2
        y += 4
    return y


def _counted(steps: int, needed: float, size: float) -> range:
    """The steps whose numbers are shown: all of them, or every second, fifth or tenth."""
    every = next((each for each in (1, 2, 5) if each * size >= needed), 10)
    return range(every, steps + 1, every)


def _lists(pen: Pen, graph: ProgressGraph, y: float, width: float) -> float:
    """What each CPU's steps do: side by side, or one below the other if there is no room."""
    beside = width >= 800
    room = (width - 3 * PAD) / 2 if beside else width - 2 * PAD
    ends: list[float] = []
    for cpu, steps in enumerate(graph.steps):
        x, below = (PAD + cpu * (room + PAD), y) if beside else (PAD, max([y, *ends]))
        pen.chip(x, below, f"cpu{cpu}", cpu_colour(cpu), cpu_ink(cpu))
        below += LINE + 4
        for step, texts in enumerate(steps, 1):
            pen.text(x + 20, below, f"{step}.", "m s q", "end")
            for line in fit(in_short(texts), room - 32, 99, SMALL_MONO):
                pen.text(x + 28, below, line, "m s")
                below += LINE - 1
        ends.append(below + 12)
    return max(ends)


def _number(pen: Pen, x: float, y: float, cpu: int, step: int) -> None:
    wide = _wide(step)
    pen.box(x - wide / 2, y - 7.5, wide, 14, fill=cpu_colour(cpu), radius=3)
    pen.text(x, y + 3.5, str(step), "m s", "middle", cpu_ink(cpu))


def _wide(step: int) -> float:
    return len(str(step)) * SMALL_MONO + 4


MEANINGS = {
    "open": "may still end well or badly",
    "good": "ends well, whatever happens",
    "bad": "ends badly, whatever happens",
    "endless": "never ends",
    WALL: "both would hold a lock",
    NEVER: "no execution comes there",
}
"""For each kind of field what the legend says, and the pointer shows."""
SKIPS = "a bow: a CPU takes a shorter branch, and skips steps of a longer one"


def _legend(pen: Pen, graph: ProgressGraph, x: float, y: float, width: float) -> float:
    present = {field for column in graph.fields for field in column}
    names = sorted({lock for locks in graph.locks.values() for lock in locks})

    def words(text: str, y: float) -> float:
        for line in fit(text, width - x - PAD - 30, 9, SANS):
            pen.text(x + 28, y + 13, line)
            y += LINE
        return y + 7

    for field, meaning in MEANINGS.items():
        if field in present:
            if field == NEVER:
                meaning = f"left blank: {meaning}"
            else:
                _field(pen, x, y, 17, field)
            y = words(_meaning(field, meaning, names), y)
    for (path, said), kind in zip(_ways(graph), ("way", "way wrongway"), strict=True):
        if path:
            pen.path(f"M{number(x)} {number(y + 9)}h18", kind)
            y = words(said, y)
    steps = [step for path in (graph.good, graph.bad) for step in pairwise(path)]
    if any(_far(a - c, b - d) for (a, b), (c, d) in steps):
        pen.path(f"M{number(x)} {number(y + 14)}q9 -14 18 0", "way skip")
        y = words(SKIPS, y)
    return y


def show_progress(what: Checked | Machine, title: str = "") -> Shown:
    """The progress graph of a checked scenario, or of a program, of two CPUs, as an object that a notebook draws.

    Raises ModelError for a program that has none, and for anything else.
    """
    if isinstance(what, Checked):
        title = title or f"{what.scenario.name} on {what.kernel.name}: how far each CPU has come"
        what = what.machine
    if not isinstance(what, Machine):
        raise ModelError(
            f"show_progress takes what check(...) returned: {CALL.format('show_progress')}. {not_but(what)}"
        )
    graph = progress_graph(what)

    def text(width: int) -> str:
        return progress_text(graph, title, width)

    return Shown(
        text(WIDTH),
        lambda: with_text(
            responsive(progress_picture(graph, title), progress_picture(graph, title, NARROW)), text
        ),
    )
