"""Which boxes the picture of a state graph has, where they stand, and whether it can be drawn."""

from __future__ import annotations

from typing import NamedTuple

from mmlocks.explain.state_graph import (
    DEADLOCK,
    ENDS,
    GOOD,
    UNEXPLORED,
    VIOLATED,
    StateGraph,
    Vertex,
)
from mmlocks.show.draw import MONO
from mmlocks.show.layered import Layered, lay_out

MOST = 150
"""A graph with more vertices than this is not drawn."""


WIDEST = 1600
"""A graph whose widest layer needs more room than this, in pixels, is not drawn either."""


SHARED = 3
"""An end with more incoming edges than this is drawn once for each vertex that leads to it.

Otherwise its edges would hide everything else.
"""


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
        return (
            f"This graph has {count:,} vertices; beyond {MOST} a drawing is a hairball, "
            "so there is none."
        )
    needed = lay_out_graph(graph, 10.0)[1].width
    if needed > WIDEST:
        return (
            "This graph has so many states side by side that it would be "
            f"{needed:,.0f} pixels wide, so it is not drawn."
        )
    return ""


def lay_out_graph(
    graph: StateGraph, gap: float
) -> tuple[list[Leaf], Layered, list[tuple[int, int]]]:
    """The leaves, where they stand, and for each edge the two leaves that it joins."""
    arriving = [0 for _ in graph.vertices]
    for edge in graph.edges:
        arriving[edge.target] += 1
    ends = [v.number for v in graph.vertices if v.kind in ENDS and not graph.leaving[v.number]]
    shared = {number for number in ends if arriving[number] > SHARED}
    leaves: list[Leaf] = []
    places: dict[tuple[int, int], int] = {}
    for vertex in graph.vertices:
        if vertex.number not in shared:
            places[vertex.number, -1] = len(leaves)
            leaves.append(leaf_of(vertex, False))
    pairs = []
    for edge in graph.edges:
        key = (edge.target, edge.source if edge.target in shared else -1)
        if key not in places:
            places[key] = len(leaves)
            leaves.append(leaf_of(graph.vertices[edge.target], True))
        pairs.append((places[edge.source, -1], places[key]))
    return leaves, lay_out(pairs, [leaf.width for leaf in leaves], gap), pairs


def leaf_of(vertex: Vertex, copy: bool) -> Leaf:
    sign = {GOOD: "✓", VIOLATED: "✕", DEADLOCK: "✕", UNEXPLORED: "…"}.get(vertex.kind, "")
    text = "start" if vertex.number == 0 and not sign else str(vertex.number)
    text = f"{sign} {text}".strip()
    if vertex.kind in (VIOLATED, DEADLOCK) and not copy:
        text += f" {vertex.violation.oracle if vertex.violation is not None else vertex.kind}"
    return Leaf(vertex, copy, text, max(24.0, len(text) * MONO + 12))
