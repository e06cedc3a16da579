"""The state graph of a small program in words: how large it is, and how executions can end."""

from __future__ import annotations

from collections.abc import Sequence

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
)
from mmlocks.sentences import counted
from mmlocks.show.draw import fit

SHORTER = 6
"""Of more ends than this that look the same to a reader, not all numbers are told."""


FATES = {
    "open": ("open", "may still end well or badly"),
    "good": ("fine", "ends well, whatever happens"),
    "bad": ("lost", "ends badly, whatever happens"),
    "endless": ("lost", "never ends"),
    "unknown": ("free", "not known: the budget was used up"),
}
"""For each fate the style of a vertex, and what the legend says."""


def graph_text(
    graph: StateGraph,
    title: str = "",
    width: int = 100,
    reduction: bool = False,
    note: str = "",
    refused: str = "",
) -> str:
    """The graph in words: its size, how executions can end, and every vertex and edge.

    With `reduction`, edges that the partial-order reduction leaves out are marked. `refused` says
    why the graph cannot be drawn: then it stands in place of the vertices.
    """
    lines = [*fit(title, width, 99, 1), ""] if title else []
    for sentence in filter(None, (*summary(graph, numbers=not refused), note)):
        lines += fit(sentence, width, 99, 1)
    if refused:
        lines += ["", *fit(refused, width, 99, 1)]
        return "\n".join(lines) + "\n"
    for vertex in graph.vertices:
        lines.append("")
        about = "; ".join(graph.moment(vertex))
        lead = f"{vertex.number}  {kind_of(graph, vertex)}"
        lines += _hanging(
            f"{lead}: {about}" if about and len(vertex.states) <= 1 else lead, width, 4
        )
        for edge in graph.leaving[vertex.number]:
            aside = "  (left out by the reduction)" if reduction and not edge.followed else ""
            lines += _hanging(f"    -> {edge.target}  {'; '.join(moves_of(edge))}{aside}", width, 8)
    return "\n".join(lines) + "\n"


def summary(graph: StateGraph, numbers: bool = True) -> tuple[str, ...]:
    """How large the graph is, what it leaves out, and how executions can end: a sentence each.

    Without `numbers` the ends are counted: vertices that are not shown need no numbers.
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
            "Of steps whose order cannot matter one order is here (partial-order reduction), "
            "so this is not every state."
        )
    if graph.reason:
        sentences.append(
            f"Not whole: {graph.reason}. What lies beyond the vertices marked “…” is unknown."
        )
    ends = ends_of(graph)
    told = [
        f"{numbers_of(alike) if numbers else counted(len(alike), 'vertex', 'vertices')} ({said})"
        for said, alike in ends.items()
    ]
    shown = "; ".join(told[:4]) + (f"; and {len(told) - 4} more" if len(told) > 4 else "")
    sentences.append(f"Executions end in {shown}." if ends else "No execution ends.")
    if set(graph.fates) == {"good"}:
        sentences.append("It ends well, whatever happens.")
    undecided = graph.fates.count("open")
    if undecided:
        where = counted(undecided, "vertex", "vertices")
        sentences.append(f"In {where} the outcome is open; every other has only one way to end.")
    return tuple(sentences)


def ends_of(graph: StateGraph) -> dict[str, list[Vertex]]:
    """The vertices in which executions end, by what is said about them."""
    ends: dict[str, list[Vertex]] = {}
    for vertex in graph.vertices:
        if vertex.kind in ENDS and vertex.kind != UNEXPLORED:
            message = f": {vertex.violation.message}" if vertex.violation is not None else ""
            ends.setdefault(f"{kind_of(graph, vertex)}{message}", []).append(vertex)
    return ends


def numbers_of(vertices: Sequence[Vertex]) -> str:
    shown = ", ".join(str(vertex.number) for vertex in vertices[:SHORTER])
    return shown + (f" and {len(vertices) - SHORTER} more" if len(vertices) > SHORTER else "")


def story(graph: StateGraph, vertex: Vertex) -> str:
    """What the pointer shows over a vertex: which it is, where every CPU stands, and a few cells.

    The cells are those that differ somewhere in the graph, if they are few.
    """
    lines = [f"{vertex.number}: {kind_of(graph, vertex)}"]
    if len(vertex.states) > 1:
        lines.append(f"stands for {len(vertex.states):,} states; the first of them:")
    lines += graph.moment(vertex)
    if vertex.states and len(graph.differing_cells) <= 24:
        cells = [graph.machine.layout.cells[index] for index in graph.differing_cells]
        lines += [f"{cell.name}: {cell.text(cell.of(vertex.states[0]))}" for cell in cells]
    return "\n".join(lines)


def kind_of(graph: StateGraph, vertex: Vertex) -> str:
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


def moves_of(edge: Edge) -> list[str]:
    return [f"cpu{move.cpu}: {move.words}" for move in edge.moves]


def _hanging(text: str, width: int, indent: int) -> list[str]:
    first, *rest = fit(text.strip(), width - indent, 99, 1)
    lead = " " * (len(text) - len(text.lstrip()))
    return [lead + first, *(" " * indent + line for line in rest)]
