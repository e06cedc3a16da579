"""The state graph of a small program as data: its states, its steps, and how it all can end.

A search keeps only what it needs for its verdict. Here the whole graph is kept, so that it can be
drawn and read. Graphs grow fast, so there are quotients, which make a readable graph of a large one
(Baier & Katoen, "Principles of Model Checking", 2008, chapter 7):

* `collapsed`: a sequence of states without a choice becomes one edge. Nothing is lost.
* `decided`: states from which every execution ends well become one, and so do those from which none
  does. What is left is the part of the graph in which the outcome is still open.
* `merged`: states that agree in something of your choice become one. A path in such a graph need
  not be an execution: it may enter a merged vertex by one of its states and leave it by another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from mmlocks.errors import ModelError
from mmlocks.machine.machine import Machine, Violation
from mmlocks.search.exhaustive import explore
from mmlocks.search.reduction import Reduction
from mmlocks.search.verdict import STOPPED, Budget, Meter, Progress, why

FORMAT, VERSION = "mmlocks state graph", 1
"""The name of the JSON form, and its version.

The version grows when a field changes its meaning or goes away.
"""

SMALL = Budget(states=20_000, seconds=20.0)
"""A graph that a reader can still look at. Raise it for larger ones."""

INITIAL, INNER, UNEXPLORED = "initial", "inner", "unexplored"
GOOD, VIOLATED, DEADLOCK = "good", "violated", "deadlock"
ENDS = {GOOD: "good", VIOLATED: "bad", DEADLOCK: "bad", UNEXPLORED: "unknown"}
"""The kinds of vertices at which executions end, or behind which nothing was looked at.

With each, what that end is.
"""


class Move(NamedTuple):
    """One step on an edge: whose, and what it did in words."""

    cpu: int
    words: str


class Edge(NamedTuple):
    """From one vertex to another by these steps: one, or more where a sequence was collapsed.

    `followed` is false if the partial-order reduction leaves the edge out, because it follows
    another order of the same steps.
    """

    source: int
    target: int
    moves: tuple[Move, ...]
    followed: bool = True

    @property
    def cpus(self) -> tuple[int, ...]:
        """The CPUs that take the steps, each once, in the order of their first steps."""
        return tuple(dict.fromkeys(move.cpu for move in self.moves))


class Vertex(NamedTuple):
    """A state of the program, or several that a quotient made one, or the end at a broken rule.

    `kind` is "initial", "inner", "good" (all tasks returned, and the judge is content), "violated",
    "deadlock", or "unexplored" (a state at which the budget was used up). `states` are packed
    states; a step that broke a rule led to none. `depth` counts the fewest steps from the start.
    `follows` names the CPUs that the partial-order reduction would follow from here.
    """

    number: int
    kind: str
    depth: int
    states: tuple[int, ...]
    violation: Violation | None = None
    follows: tuple[int, ...] = ()


@dataclass(frozen=True)
class StateGraph:
    """A graph of states.

    Vertex 0 is the initial state; numbers grow with the distance from it, the same at every run.
    `reduced` says that the graph has only those edges that the partial-order reduction follows.
    `reason` says why the graph is not whole, if it is not. `quotient` says what was merged, if
    anything was.
    """

    machine: Machine
    vertices: tuple[Vertex, ...]
    edges: tuple[Edge, ...]
    reduced: bool = False
    reason: str = ""
    quotient: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether every state that there is was looked at."""
        return not self.reason

    @cached_property
    def leaving(self) -> tuple[tuple[Edge, ...], ...]:
        """For each vertex the edges that lead away from it."""
        found: list[list[Edge]] = [[] for _ in self.vertices]
        for edge in self.edges:
            found[edge.source].append(edge)
        return tuple(map(tuple, found))

    @cached_property
    def fates(self) -> tuple[str, ...]:
        """For each vertex how executions can end from there.

        "good", "bad", "open" (either way), or "endless" (they never end).

        "unknown" if the graph is not whole and the missing part could change the answer.
        """
        ends = {"good": 1, "bad": 2, "unknown": 4}
        arriving: list[list[int]] = [[] for _ in self.vertices]
        for edge in self.edges:
            arriving[edge.target].append(edge.source)
        reached = [0 for _ in self.vertices]
        for bit in ends.values():
            work = [
                vertex.number
                for vertex in self.vertices
                if ends.get(ENDS.get(vertex.kind, "")) == bit
            ]
            while work:
                number = work.pop()
                if not reached[number] & bit:
                    reached[number] |= bit
                    work += arriving[number]
        names = {0: "endless", 1: "good", 2: "bad", 3: "open", 7: "open"}
        return tuple(names.get(bits, "unknown") for bits in reached)

    @property
    def ends(self) -> dict[str, int]:
        """How many vertices of each kind executions can end in."""
        kinds = [vertex.kind for vertex in self.vertices if vertex.kind in ENDS]
        return {kind: kinds.count(kind) for kind in ENDS if kind in kinds}

    # -- quotients ---------------------------------------------------------------------------------

    def collapsed(self) -> StateGraph:
        """Without the vertices at which nothing is chosen: one edge leads in, and one leads on.

        Nothing is lost.
        """
        arriving = [0 for _ in self.vertices]
        for edge in self.edges:
            arriving[edge.target] += 1
        follows = {edge.source: edge for edge in self.edges}

        def passed(edge: Edge) -> bool:
            number = edge.target
            return (
                number > 0
                and arriving[number] == 1
                and len(self.leaving[number]) == 1
                and follows[number].followed == edge.followed
            )

        gone = {edge.target for edge in self.edges if passed(edge)}
        edges = []
        for edge in self.edges:
            if edge.source in gone:
                continue
            while edge.target in gone:
                following = follows[edge.target]
                edge = Edge(
                    edge.source, following.target, edge.moves + following.moves, edge.followed
                )
            edges.append(edge)
        kept = [vertex for vertex in self.vertices if vertex.number not in gone]
        number = {vertex.number: new for new, vertex in enumerate(kept)}
        return replace(
            self,
            vertices=tuple(vertex._replace(number=number[vertex.number]) for vertex in kept),
            edges=tuple(
                edge._replace(source=number[edge.source], target=number[edge.target])
                for edge in edges
            ),
            quotient=(*self.quotient, "sequences without a choice are one edge"),
        )

    def decided(self) -> StateGraph:
        """The part in which the outcome is open.

        All vertices that can only end well become one, and so do those that can only end badly.

        Bad ends stay apart by the rule that is broken, if there is only one.
        """
        rules: list[set[str]] = [set() for _ in self.vertices]
        for vertex in self.vertices:
            if vertex.violation is not None:
                rules[vertex.number] = {vertex.violation.oracle}
        changed = True
        while changed:
            changed = False
            for edge in reversed(self.edges):
                if not rules[edge.target] <= rules[edge.source]:
                    rules[edge.source] |= rules[edge.target]
                    changed = True

        def outcome(vertex: Vertex) -> Hashable:
            fate = self.fates[vertex.number]
            alone = vertex.number == 0 or fate not in ("good", "bad")
            return vertex.number if alone else (fate, *sorted(rules[vertex.number]))

        return self._merged_by(outcome, "states whose outcome is settled are one", settled=True)

    def merged(self, key: Callable[[int], Hashable], what: str) -> StateGraph:
        """States with the same `key` become one vertex; `what` says in a few words which those are.

        Ends stay apart by their kind.

        Raises ModelError if a key cannot be compared.
        """

        def keyed(vertex: Vertex) -> Hashable:
            if not vertex.states:
                return vertex.number
            end = ENDS.get(vertex.kind) and (
                vertex.kind,
                vertex.violation and vertex.violation.oracle,
            )
            try:
                return end, frozenset(map(key, vertex.states))
            except TypeError as problem:
                raise ModelError(
                    f"the states cannot be merged: {problem}. Return a tuple of plain values."
                ) from None

        return self._merged_by(keyed, what)

    def _merged_by(
        self, key: Callable[[Vertex], Hashable], what: str, settled: bool = False
    ) -> StateGraph:
        members: dict[Hashable, list[Vertex]] = {}
        for vertex in self.vertices:
            members.setdefault(key(vertex), []).append(vertex)
        groups = list(members.values())
        number = {vertex.number: new for new, group in enumerate(groups) for vertex in group}
        vertices = tuple(_one_of(new, group, settled) for new, group in enumerate(groups))
        edges: dict[tuple[Any, ...], Edge] = {}
        for edge in self.edges:
            new = edge._replace(source=number[edge.source], target=number[edge.target])
            if new.source == new.target and len(groups[new.source]) > 1:
                continue  # a step inside of a merged vertex
            known = edges.setdefault(new[:3], new)
            edges[new[:3]] = known._replace(followed=known.followed or new.followed)
        return replace(
            self, vertices=vertices, edges=tuple(edges.values()), quotient=(*self.quotient, what)
        )

    # -- told --------------------------------------------------------------------------------------

    def moment(self, vertex: Vertex) -> tuple[str, ...]:
        """Where each CPU stands in a vertex's first state, one line each, and the broken rule."""
        lines: list[str] = []
        for state in vertex.states[:1]:
            for task in self.machine.tasks:
                node, why = (
                    self.machine.node(state, task.cpu),
                    self.machine.why_blocked(state, task.cpu),
                )
                if node.step is None:
                    lines.append(f"cpu{task.cpu} is done")
                elif why is not None:
                    lines.append(f"cpu{task.cpu} waits for {why.awaits}")
                else:
                    place = node.answer.where[-1] if node.answer.where else None
                    at = f"in {place.function} ({place.spot})" if place is not None else "running"
                    lines.append(f"cpu{task.cpu} is {at}")
        if vertex.violation is not None:
            lines.append(vertex.violation.message)
        return tuple(lines)

    @cached_property
    def differing_cells(self) -> tuple[int, ...]:
        """The indices of the cells that do not have the same value everywhere in this graph."""
        cells = self.machine.layout.cells
        states = [state for vertex in self.vertices for state in vertex.states]
        return tuple(
            cell.index
            for cell in cells
            if states and len({state & cell.mask for state in states}) > 1
        )

    def to_json(self) -> dict[str, Any]:
        """The graph as plain JSON values.

        `format`, `version`; `tasks`: the name of each CPU's; `reduced`, `whole`, `reason`,
        `quotient`: as above; `cells`: names of the cells whose values differ somewhere; `vertices`:
        each with `number`, `kind`, `fate`, `depth`, `states` (packed, in hexadecimal: they are
        longer than a JSON number), `values` (what is in `cells`, in words; null where merged states
        differ), `moment` (where each CPU stands), `follows`, `violation` (`oracle` and `message`,
        or null); `edges`: each with `from`, `to` (numbers of vertices), `steps` (each `cpu` and
        `words`), `followed`.
        """
        cells = [self.machine.layout.cells[index] for index in self.differing_cells]

        def value(vertex: Vertex, cell: Any) -> str | None:
            texts = {cell.text(cell.of(state)) for state in vertex.states}
            return texts.pop() if len(texts) == 1 else None

        return {
            "format": FORMAT,
            "version": VERSION,
            "tasks": [task.name for task in self.machine.tasks],
            "reduced": self.reduced,
            "whole": self.whole,
            "reason": self.reason,
            "quotient": list(self.quotient),
            "cells": [cell.name for cell in cells],
            "vertices": [
                {
                    "number": vertex.number,
                    "kind": vertex.kind,
                    "fate": self.fates[vertex.number],
                    "depth": vertex.depth,
                    "states": [f"{state:x}" for state in vertex.states],
                    "values": [value(vertex, cell) for cell in cells],
                    "moment": list(self.moment(vertex)),
                    "follows": list(vertex.follows),
                    "violation": vertex.violation and vertex.violation._asdict(),
                }
                for vertex in self.vertices
            ],
            "edges": [
                {
                    "from": edge.source,
                    "to": edge.target,
                    "steps": [move._asdict() for move in edge.moves],
                    "followed": edge.followed,
                }
                for edge in self.edges
            ],
        }


def positions(machine: Machine) -> Callable[[int], int]:
    """A key for `merged`: where every CPU stands in its task, whatever the cells hold."""
    return lambda state: state & machine.layout.pc_mask


def values_of(machine: Machine, names: Iterable[str]) -> Callable[[int], tuple[Any, ...]]:
    """A key for `merged`: what these cells hold, wherever the CPUs stand.

    Raises ModelError for a cell that does not exist.
    """
    cells = [machine.layout.named(name) for name in names]
    return lambda state: tuple((state & cell.mask) >> cell.shift for cell in cells)


def state_graph(
    machine: Machine,
    budget: Budget = SMALL,
    progress: Progress | None = None,
    reduced: bool = False,
) -> StateGraph:
    """All states of `machine` and the steps between them.

    With `reduced`, only those that the partial-order reduction visits.

    A graph of all states marks the edges that the reduction would follow. Where the budget is used
    up, or the user has had enough, the graph is what was seen so far, and its `reason` says so.
    Raises NondeterminismError if a task's code turns out not to be deterministic.
    """
    meter = Meter(budget, progress)
    reduction = Reduction(machine)
    if reduced:
        found = explore(machine, meter, stop=False, reduction=reduction)
        if found.reason:
            return StateGraph(machine, (_first(machine, reason=True),), (), True, found.reason)
    building = _Building(machine, meter, reduction if reduced else None)
    try:
        building.run()
        machine.verify()
    except STOPPED as stopped:
        building.reason = why(stopped)
    return building.graph(reduction)


class _Building:
    """A graph as it grows, breadth first."""

    def __init__(self, machine: Machine, meter: Meter, reduction: Reduction | None) -> None:
        self.machine, self.meter, self.reduction = machine, meter, reduction
        self.reason = ""
        first = _first(machine)
        self.vertices: list[Vertex] = [first]
        self.edges: list[Edge] = []
        self.numbers: dict[int | Violation, int] = {machine.initial: 0}
        self.expanded: set[int] = set()

    def run(self) -> None:
        queue = deque([self.vertices[0]] if self.vertices[0].kind == INITIAL else [])
        ticks = 0
        while queue:
            ticks += 1
            if ticks % min(self.meter.every, 64) == 0:
                self.meter.check(len(self.numbers))
            vertex = queue.popleft()
            queue.extend(self.expand(vertex))
            self.expanded.add(vertex.number)

    def expand(self, vertex: Vertex) -> Iterable[Vertex]:
        machine, state = self.machine, vertex.states[0]
        chosen = self.reduction.choose(state) if self.reduction is not None else -1
        fresh, able = [], False
        for cpu in machine.cpus:
            taken = machine.step(state, cpu) if chosen >> cpu & 1 else None
            if taken is None:
                continue
            able = True
            self.meter.transitions += 1
            after: int | Violation = taken.state if taken.violation is None else taken.violation
            number = self.numbers.get(after)
            if number is None:
                number = self.numbers[after] = len(self.vertices)
                found = _vertex(number, vertex.depth + 1, after)
                self.vertices.append(found)
                if found.states:
                    fresh.append(found)
            self.edges.append(Edge(vertex.number, number, (Move(cpu, machine.tell(state, taken)),)))
        if not able and vertex.kind in (INITIAL, INNER):
            self.vertices[vertex.number] = vertex._replace(**_ending(machine, state))
        return fresh

    def graph(self, reduction: Reduction) -> StateGraph:
        """What is there now. The choices of the reduction are known once the automata are."""
        reduction.refresh()
        vertices = []
        for vertex in self.vertices:
            if vertex.kind in (INITIAL, INNER) and vertex.number not in self.expanded:
                vertex = vertex._replace(kind=UNEXPLORED)
            elif vertex.kind in (INITIAL, INNER) and not self.reason:
                mask = reduction.choose(vertex.states[0])
                cpus = tuple(edge.moves[0].cpu for edge in self.leaving(vertex.number))
                vertex = vertex._replace(follows=tuple(cpu for cpu in cpus if mask >> cpu & 1))
            vertices.append(vertex)
        edges = self.edges
        if not self.reason:
            visited = _visited(vertices, self.edges)
            edges = [
                edge._replace(
                    followed=edge.source in visited
                    and edge.moves[0].cpu in vertices[edge.source].follows
                )
                for edge in edges
            ]
        return StateGraph(
            self.machine, tuple(vertices), tuple(edges), self.reduction is not None, self.reason
        )

    def leaving(self, number: int) -> Sequence[Edge]:
        return self._by_source.get(number, ())

    @cached_property
    def _by_source(self) -> dict[int, list[Edge]]:
        found: dict[int, list[Edge]] = {}
        for edge in self.edges:
            found.setdefault(edge.source, []).append(edge)
        return found


def _first(machine: Machine, reason: bool = False) -> Vertex:
    """The initial state, which may be an end already."""
    stillborn = machine.stillborn()
    if stillborn is not None:
        return Vertex(0, VIOLATED, 0, (machine.initial,), stillborn)
    return Vertex(0, UNEXPLORED if reason else INITIAL, 0, (machine.initial,))


def _vertex(number: int, depth: int, after: int | Violation) -> Vertex:
    if isinstance(after, Violation):
        return Vertex(number, VIOLATED, depth, (), after)
    return Vertex(number, INNER, depth, (after,))


def _ending(machine: Machine, state: int) -> dict[str, Any]:
    """What to say of a state in which no CPU can run."""
    if machine.finished(state):
        violation = machine.judge(state)
        return {"kind": VIOLATED if violation else GOOD, "violation": violation}
    return {"kind": DEADLOCK, "violation": machine.deadlock(state)}


def _visited(vertices: Sequence[Vertex], edges: Collection[Edge]) -> set[int]:
    """The vertices that the reduction visits."""
    onwards: dict[int, list[int]] = {}
    for edge in edges:
        if edge.moves[0].cpu in vertices[edge.source].follows:
            onwards.setdefault(edge.source, []).append(edge.target)
    seen, work = {0}, [0]
    while work:
        for target in onwards.get(work.pop(), ()):
            if target not in seen:
                seen.add(target)
                work.append(target)
    return seen


def _one_of(number: int, group: Sequence[Vertex], settled: bool) -> Vertex:
    """The vertex that stands for several."""
    first = group[0]
    if len(group) == 1:
        return first._replace(number=number)
    kinds = {vertex.kind for vertex in group}
    ended = [vertex for vertex in group if vertex.kind in ENDS]
    if len(kinds) == 1:
        kind = first.kind
    elif INITIAL in kinds:
        kind = INITIAL
    elif settled and ended:  # all that is left to happen is to come to such an end
        kind = min((vertex.kind for vertex in ended), key=list(ENDS).index)
    else:
        kind = UNEXPLORED if UNEXPLORED in kinds else INNER
    violations = [vertex.violation for vertex in ended if vertex.violation is not None]
    return Vertex(
        number,
        kind,
        min(vertex.depth for vertex in group),
        tuple(state for vertex in group for state in vertex.states),
        violations[0] if violations and kind in (VIOLATED, DEADLOCK) else None,
        tuple(sorted({cpu for vertex in group for cpu in vertex.follows})),
    )
