"""The progress graph of two CPUs, and the same in words.

The x of a field is how far one CPU has come, its y how far the other. An execution is a path of
steps to the right and upwards. Where both CPUs would hold the same lock there is a wall. A corner
between walls, from which no step leads on, is a deadlock. Dijkstra drew such pictures in 1968; they
were first printed by Coffman, Elphick and Shoshani ("System deadlocks", ACM Computing Surveys 3,
1971, figure 2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise, takewhile

from mmlocks.errors import ModelError
from mmlocks.explain.state_graph import ENDS, SMALL, StateGraph, state_graph
from mmlocks.machine import Machine
from mmlocks.machine.task import Task
from mmlocks.search.shortest import shortest
from mmlocks.search.verdict import Meter
from mmlocks.sentences import counted
from mmlocks.show.holders import holders
from mmlocks.show.text import paragraph

MOST = 60
"""If a CPU takes more steps than this, the fields are too small to be seen."""


WALL, NEVER = "wall", "never"


Steps = tuple[tuple[str, ...], ...]
"""What each step of one CPU does: several texts where that depends on what happened before."""
At = tuple[int, int]
"""A field: how many steps each CPU has taken."""
Way = tuple[tuple[float, float], ...]
"""A way from field to field. A step that breaks a rule does not happen: it ends half a field on."""
Locks = set[tuple[str, str]]
"""Locks that a CPU holds, each with how."""


INSTEAD = (
    "Its state graph can be looked at instead: with show_graph in a notebook, with `mmlocks graph` "
    "on the command line."
)


@dataclass(frozen=True)
class ProgressGraph:
    """The grid of joint positions, and two paths through it.

    `fields[x][y]` is "open", "good" or "bad" (what can still come, as in `StateGraph.fates`),
    "wall" (both CPUs would hold a lock; `locks` says which), or "never" (no execution comes there).
    `steps` tells what each CPU's steps do. `bad` is the shortest path that breaks a rule, `good`
    one that does not; each is a sequence of (x, y). A step along a shorter branch of the code goes
    more than one field on.
    """

    tasks: tuple[str, str]
    steps: tuple[Steps, Steps]
    fields: tuple[tuple[str, ...], ...]
    locks: dict[tuple[int, int], tuple[str, ...]]
    bad: Way = ()
    good: Way = ()
    message: str = ""


def progress_graph(machine: Machine) -> ProgressGraph:
    """The progress graph of a program of two CPUs that do not loop.

    Raises ModelError for any other program, and for one that is too large to be looked at.
    """
    if len(machine.cpus) != 2:
        raise ModelError(
            "a progress graph has two axes, so it takes two CPUs; "
            f"this program has {len(machine.cpus)}. {INSTEAD}"
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
            f"a CPU takes {max(length)} steps here; more than {MOST} cannot be seen in a progress "
            f"graph. {INSTEAD}"
        )

    def field(state: int) -> At:
        x, y = (depths[cpu][machine.node(state, cpu).index] for cpu in machine.cpus)
        return x, y

    fates: dict[At, set[str]] = {}
    held: tuple[dict[int, Locks], dict[int, Locks]] = ({}, {})  # by steps: what each surely holds
    for vertex in graph.vertices:
        for state in vertex.states:
            at = field(state)
            fates.setdefault(at, set()).add(graph.fates[vertex.number])
            now = holders(machine.layout, state)
            for cpu in machine.cpus:
                mine = {(holding.lock, holding.mode) for holding in now if holding.cpu == cpu}
                held[cpu][at[cpu]] = held[cpu].get(at[cpu], mine) & mine
    columns, rows = range(length[0] + 1), range(length[1] + 1)
    locks = {
        (x, y): both
        for x in columns
        for y in rows
        if (x, y) not in fates
        and (both := _contended(held[0].get(x, set()), held[1].get(y, set())))
    }

    def kind(at: At) -> str:
        if at in fates:
            return next(iter(fates[at])) if len(fates[at]) == 1 else "open"
        return WALL if at in locks else NEVER

    fields = tuple(tuple(kind((x, y)) for y in rows) for x in columns)
    worst = shortest(machine, Meter(SMALL))
    bad = _path(machine, worst.schedule, field) if worst is not None else ()
    return ProgressGraph(
        tasks=(machine.tasks[0].name, machine.tasks[1].name),
        steps=(_words(graph, depths, 0, length[0]), _words(graph, depths, 1, length[1])),
        fields=fields,
        locks=locks,
        bad=bad,
        good=_path(machine, _good(graph, field, bad), field),
        message=worst.violation.message if worst else "",
    )


def _depths(task: Task) -> list[int]:
    """The largest number of steps that lead to each node of a task. ModelError if it loops."""
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


def _contended(one: Locks, other: Locks) -> tuple[str, ...]:
    """The locks that two CPUs would both hold, though only one at a time may."""
    shared = {"read", "section"}
    both = {
        lock
        for lock, how in one
        for same, also in other
        if lock == same and not {how, also} <= shared
    }
    return tuple(sorted(both))


def _words(graph: StateGraph, depths: Sequence[Sequence[int]], cpu: int, length: int) -> Steps:
    """What a CPU's steps do, in the order in which the graph has them."""
    machine = graph.machine
    told: list[dict[str, None]] = [{} for _ in range(length)]
    for edge in graph.edges:
        if edge.moves[0].cpu == cpu and graph.vertices[edge.target].states:
            node = machine.node(graph.vertices[edge.source].states[0], cpu)
            told[depths[cpu][node.index]][edge.moves[0].words] = None
    return tuple(map(tuple, told))


def in_short(texts: Sequence[str]) -> str:
    """All that a step may do, in one sentence.

    What differs stands side by side. Of many different things, the first two are told.
    """
    if len(texts) < 2:
        return texts[0] if texts else "breaks a rule, whenever it is taken"
    words = [text.split() for text in texts]
    front = _alike(words)
    back = _alike([line[: front - len(line) - 1 : -1] for line in words])
    middles = list(dict.fromkeys(" ".join(line[front : len(line) - back]) for line in words))
    if front and all(middles) and len(middles) <= 3 and max(map(len, middles)) <= 30:
        end = words[0][len(words[0]) - back :]
        return " ".join([*words[0][:front], " or ".join(middles), *end])
    more = len(texts) - 2
    others = f"; or {counted(more, 'other')}" if more > 0 else ""
    return f"{texts[0]}; or: {texts[1]}{others}"


def _alike(lines: Sequence[Sequence[str]]) -> int:
    """How many words at the beginning are the same in all lines."""
    return len(list(takewhile(lambda words: len(set(words)) == 1, zip(*lines, strict=False))))


def _good(graph: StateGraph, field: Callable[[int], At], bad: Way) -> tuple[int, ...]:
    """A schedule that ends well, or () if there is none: the first that a depth-first walk finds.

    If possible, it stays off the field in which the bad path ends.
    """
    if graph.fates[0] not in ("open", "good"):
        return ()
    near = {(round(x + up), round(y + up)) for x, y in bad[-2:] for up in (-0.1, 0.1)}
    for avoided in (near, set[At]()):
        came_from: dict[int, tuple[int, int]] = {}
        work = [(0, (-1, -1))]
        while work:
            at, came = work.pop()
            if at in came_from:
                continue
            came_from[at] = came
            vertex = graph.vertices[at]
            if vertex.kind in ENDS:
                return _back(came_from, at)
            for edge in reversed(graph.leaving[at]):
                states = graph.vertices[edge.target].states
                if graph.fates[edge.target] in ("open", "good") and field(states[0]) not in avoided:
                    work.append((edge.target, (at, edge.moves[0].cpu)))
    return ()


def _back(came_from: dict[int, tuple[int, int]], at: int) -> tuple[int, ...]:
    """The CPUs of the steps from vertex 0 to `at`."""
    cpus = []
    while at:
        at, cpu = came_from[at]
        cpus.append(cpu)
    return tuple(reversed(cpus))


def _path(machine: Machine, cpus: Sequence[int], field: Callable[[int], At]) -> Way:
    """The fields through which a schedule goes."""
    state = machine.initial
    path: list[tuple[float, float]] = [field(state)]
    for cpu in cpus:
        taken = machine.step(state, cpu)
        assert taken is not None
        state = taken.state
        if taken.violation is not None:  # half a field, in the direction of the CPU
            x, y = path[-1]
            path.append((x + (cpu == 0) / 2, y + (cpu == 1) / 2))
        else:
            path.append(field(state))
    return tuple(path)


SIGNS = {"open": "o", "good": "+", "bad": "x", "endless": "x", WALL: "#", NEVER: " "}


def progress_text(graph: ProgressGraph, title: str = "", width: int = 100) -> str:
    """The grid in characters, every step in full, what the signs mean, and both paths."""
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
    for field in MEANINGS:
        if field in present:
            sign = SIGNS[field].strip() or "blank:"
            lines += paragraph(f"{sign} {meaning_of(field, graph)}", width, 2)
    for path, words in ways(graph):
        if path:
            lines += paragraph(f"{words}: {way_words(path)}", width, 2)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def meaning_of(field: str, graph: ProgressGraph) -> str:
    """What a legend says about a kind of field."""
    if field != WALL:
        return MEANINGS[field]
    names = sorted({lock for locks in graph.locks.values() for lock in locks})
    return f"a wall: both would hold {' or '.join(names)}"


def ways(graph: ProgressGraph) -> tuple[tuple[Way, str], ...]:
    """Both paths, with what a legend says about each."""
    why = f" ({graph.message.rstrip('.')})" if graph.message else ""
    good = (graph.good, "one way that ends well")
    return good, (graph.bad, f"the shortest way to go wrong{why}")


def way_words(path: Way) -> str:
    """A path in words: how many steps of which CPU in turn, and whether the last breaks a rule."""
    cpus = [0 if after[0] != before[0] else 1 for before, after in pairwise(path)]
    turns = [(cpu, len(list(steps))) for cpu, steps in groupby(cpus)]
    broken = len(path) > 1 and path[-1] != (int(path[-1][0]), int(path[-1][1]))
    told = ", then ".join(f"{counted(many, 'step')} of cpu{cpu}" for cpu, many in turns)
    return (told or "no step at all") + (", the last of which breaks the rule" if broken else "")


MEANINGS = {
    "open": "may still end well or badly",
    "good": "ends well, whatever happens",
    "bad": "ends badly, whatever happens",
    "endless": "never ends",
    WALL: "both would hold a lock",
    NEVER: "no execution comes there",
}
"""For each kind of field what the legend and the pointer say."""
