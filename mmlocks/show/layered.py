"""Where the vertices of a graph stand when it is drawn in layers. Nothing here draws.

Every edge leads downwards, few edges cross, and all are short. This is the method of Sugiyama,
Tagawa and Toda ("Methods for visual understanding of hierarchical system structures", IEEE Trans.
SMC 11, 1981) in its four steps: break cycles, give each vertex a layer, order the layers by
barycentres, and set the coordinates.

Why no library: networkx "does not try to minimize edge crossings" (multipartite_layout), Graphviz
is a program outside of Python, Mermaid draws only in a browser and does not say how large its
picture is, and grandalf (0.8, January 2023) would only replace this file, not the drawing.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

SWEEPS = 24
"""Passes over all layers in search of fewer crossings; more passes rarely help."""
STRAIGHT = 6.0
"""How much stronger an edge on its way through a layer pulls than a vertex.

Long edges should be straight.
"""
LOOSE = 0.001
"""How strongly a vertex without outgoing edges pulls: it must not bend the way that goes on."""
THIN = 12.0
"""Room for an edge on its way through a layer."""


@dataclass(frozen=True)
class Layered:
    """The result: each vertex's layer and the x of its middle, and each edge's points (x, layer).

    An edge that closes a cycle goes through its points from bottom to top. A loop has no points.
    """

    layer: tuple[int, ...]
    x: tuple[float, ...]
    routes: tuple[tuple[tuple[float, int], ...], ...]
    width: float

    @property
    def layers(self) -> int:
        """How many layers there are."""
        return max(self.layer, default=-1) + 1


def lay_out(edges: Sequence[tuple[int, int]], widths: Sequence[float], gap: float) -> Layered:
    """Lay out a graph whose vertices, counted from 0, have these widths, at least `gap` apart.

    All vertices must be reachable from vertex 0.
    """
    count = len(widths)
    downwards = [
        _downwards(edge, back) for edge, back in zip(edges, _back(count, edges), strict=True)
    ]
    layer = _layers(count, downwards)
    # An edge over several layers gets a thin vertex in each layer between: all edges are short now.
    room = list(widths)
    chains: list[list[int]] = []
    depth = list(layer)
    for source, target in downwards:
        chain = [source]
        for between in range(layer[source] + 1, layer[target]):
            chain.append(len(room))
            room.append(THIN)
            depth.append(between)
        chains.append([*chain, target] if source != target else [])
    short = sorted({pair for chain in chains for pair in pairwise(chain)})
    rows = _ordered(depth, short)
    x = _coordinates(rows, short, room, gap, count)
    left = min((x[at] - room[at] / 2 for at in range(len(room))), default=0.0)
    x = [place - left for place in x]
    routes = []
    for chain, (source, target), (begin, _) in zip(chains, downwards, edges, strict=True):
        points = tuple((x[at], depth[at]) for at in chain)
        routes.append(points if begin == source or source == target else points[::-1])
    width = max((x[at] + room[at] / 2 for at in range(len(room))), default=0.0)
    return Layered(tuple(layer), tuple(x[:count]), tuple(routes), width)


def _downwards(edge: tuple[int, int], back: bool) -> tuple[int, int]:
    return (edge[1], edge[0]) if back else edge


def _back(count: int, edges: Sequence[tuple[int, int]]) -> list[bool]:
    """Which edges close a cycle, by a depth-first walk."""
    leaving: list[list[int]] = [[] for _ in range(count)]
    for index, (source, _) in enumerate(edges):
        leaving[source].append(index)
    back = [False for _ in edges]
    state = [0] * count  # 0: not seen, 1: on the current path, 2: done
    for start in range(count):
        if state[start]:
            continue
        state[start] = 1
        walk = [(start, iter(leaving[start]))]
        while walk:
            vertex, rest = walk[-1]
            following = next(rest, None)
            if following is None:
                state[vertex] = 2
                walk.pop()
                continue
            target = edges[following][1]
            if state[target] == 1 and target != vertex:
                back[following] = True
            elif not state[target]:
                state[target] = 1
                walk.append((target, iter(leaving[target])))
    return back


def _layers(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """The length of the longest way to each vertex, so that every edge leads to a later layer."""
    layer = [0] * count
    changed = True
    while changed:
        changed = False
        for source, target in edges:
            if source != target and layer[target] <= layer[source]:
                layer[target] = layer[source] + 1
                changed = True
    return layer


def _ordered(depth: Sequence[int], short: Sequence[tuple[int, int]]) -> list[list[int]]:
    """The vertices of each layer from left to right, ordered by the barycentre heuristic."""
    rows: list[list[int]] = [[] for _ in range(max(depth, default=-1) + 1)]
    for at, layer in enumerate(depth):
        rows[layer].append(at)
    above: list[list[int]] = [[] for _ in depth]
    below: list[list[int]] = [[] for _ in depth]
    for upper, lower in short:
        below[upper].append(lower)
        above[lower].append(upper)
    for row in rows:
        row.sort(key=lambda at: bool(below[at]))  # ends to the left: words stand on the right
    place = [0.0] * len(depth)

    def number(row: Sequence[int]) -> None:
        for index, at in enumerate(row):
            place[at] = index

    for row in rows:
        number(row)
    best, fewest = [list(row) for row in rows], _crossings(rows, below, place)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        neighbours = above if down else below
        for row in rows if down else rows[::-1]:
            centre = {
                at: sum(place[other] for other in neighbours[at]) / len(neighbours[at])
                if neighbours[at]
                else place[at]
                for at in row
            }
            row.sort(key=lambda at: (centre[at], place[at]))
            number(row)
        crossings = _crossings(rows, below, place)
        if crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
    return best


def _crossings(
    rows: Sequence[Sequence[int]], below: Sequence[Sequence[int]], place: Sequence[float]
) -> int:
    """How many pairs of edges cross."""
    count = 0
    for row in rows:
        seen: list[float] = []
        for at in row:
            ends = sorted(place[other] for other in below[at])
            for end in ends:
                count += len(seen) - bisect_left(seen, end + 0.5)
            for end in ends:
                insort(seen, end)
    return count


def _coordinates(
    rows: Sequence[Sequence[int]],
    short: Sequence[tuple[int, int]],
    room: Sequence[float],
    gap: float,
    count: int,
) -> list[float]:
    """The x of every vertex: as near to the middle of its neighbours as the order allows."""
    neighbours: list[list[list[int]]] = [[[], []] for _ in room]
    for upper, lower in short:
        neighbours[upper][1].append(lower)
        neighbours[lower][0].append(upper)
    weights = [1.0 if at < count else STRAIGHT for at in range(len(room))]
    for at, (above, below) in enumerate(neighbours):
        if len(above) == 1 and not below and len(neighbours[above[0]][1]) > 1:
            weights[at] = LOOSE
    x = [0.0] * len(room)
    for row in rows:
        for at, place in zip(row, _apart([0.0] * len(row), row, room, gap, weights), strict=True):
            x[at] = place
    for sweep in range(SWEEPS):
        sides = ((0,), (1,), (0, 1))[sweep % 3]
        for row in rows[::-1] if sides == (1,) else rows:
            wanted = []
            for at in row:
                near = [other for side in sides for other in neighbours[at][side]]
                pull = sum(weights[other] for other in near)
                middle = sum(x[other] * weights[other] for other in near) / pull if near else x[at]
                wanted.append(middle)
            for at, place in zip(row, _apart(wanted, row, room, gap, weights), strict=True):
                x[at] = place
    return x


def _apart(
    wanted: Sequence[float],
    row: Sequence[int],
    room: Sequence[float],
    gap: float,
    weights: Sequence[float],
) -> list[float]:
    """Places in this order, far enough apart, as near to the wanted ones as can be.

    The sum of the squared distances is the smallest. That is isotonic regression, solved by pooling
    neighbours that are out of order ("pool adjacent violators", Ayer et al. 1955).
    """
    offset = 0.0
    offsets = []
    for index, at in enumerate(row):
        if index:
            offset += (room[row[index - 1]] + room[at]) / 2 + gap
        offsets.append(offset)
    pools: list[tuple[float, float, int]] = []  # mean, weight, members
    for index, at in enumerate(row):
        mean, weight, members = wanted[index] - offsets[index], weights[at], 1
        while pools and pools[-1][0] >= mean:
            other, others, more = pools.pop()
            mean = (mean * weight + other * others) / (weight + others)
            weight, members = weight + others, members + more
        pools.append((mean, weight, members))
    flat = [mean for mean, _, members in pools for _ in range(members)]
    return [mean + offset for mean, offset in zip(flat, offsets, strict=True)]
