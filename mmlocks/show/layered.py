"""Where the vertices of a graph go when it is drawn in layers: every edge leads downwards, few cross, and none is longer than need be.

The method of Sugiyama, Tagawa and Toda ("Methods for visual understanding of hierarchical system structures", IEEE Trans. SMC 11, 1981), in its
four steps: break cycles, give each vertex a layer, order the layers by barycentres, and set the coordinates. Nothing here draws.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

SWEEPS = 24
"""Passes over all layers in search of an order with fewer crossings; more of them rarely find one."""
STRAIGHT = 6.0
"""How much more an edge on its way through a layer insists on its place than a vertex does: long edges should be straight."""
LOOSE = 0.001
"""How much a vertex at which the graph ends insists: it hangs beside the way that goes on, and does not bend it."""
THIN = 12.0
"""Room for an edge on its way through a layer."""


@dataclass(frozen=True)
class Layered:
    """The result: for each vertex its layer and the x of its middle; for each edge the points (x, layer) through which it goes.

    An edge against the layers' direction, which closes a cycle, goes through its points from bottom to top; a loop has none.
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
    """Lay a graph out whose vertices, from 0 on, are so wide and stand at least `gap` apart. All are reached from vertex 0."""
    count = len(widths)
    downwards = [
        _downwards(edge, back) for edge, back in zip(edges, _back(count, edges), strict=True)
    ]
    layer = _layers(count, downwards)
    # An edge over several layers gets a thin vertex in each of those between, so that the rest has to do with short edges alone.
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
    """Which edges close a cycle on a walk that goes deep first."""
    leaving: list[list[int]] = [[] for _ in range(count)]
    for index, (source, _) in enumerate(edges):
        leaving[source].append(index)
    back = [False for _ in edges]
    state = [0] * count  # 0 unseen, 1 on the way that is being walked, 2 done
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
    """The longest way from the start, so that every edge leads to a later layer."""
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
    """The vertices of each layer from left to right, with as few crossings as the barycentre heuristic finds."""
    rows: list[list[int]] = [[] for _ in range(max(depth, default=-1) + 1)]
    for at, layer in enumerate(depth):
        rows[layer].append(at)
    above: list[list[int]] = [[] for _ in depth]
    below: list[list[int]] = [[] for _ in depth]
    for upper, lower in short:
        below[upper].append(lower)
        above[lower].append(upper)
    for row in rows:
        row.sort(
            key=lambda at: bool(below[at])
        )  # what hangs beside the way hangs to its left: words stand on the right
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
    rows: Sequence[Sequence[int]], short: Sequence[tuple[int, int]], room: Sequence[float], gap: float, count: int
) -> list[float]:  # fmt: skip
    """The x of every vertex: as near as can be to the middle of its neighbours, without changing the order."""
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
                near = [
                    (x[other], weights[other]) for side in sides for other in neighbours[at][side]
                ]
                pull = sum(weight for _, weight in near)
                wanted.append(
                    sum(place * weight for place, weight in near) / pull if near else x[at]
                )
            for at, place in zip(row, _apart(wanted, row, room, gap, weights), strict=True):
                x[at] = place
    return x


def _apart(
    wanted: Sequence[float], row: Sequence[int], room: Sequence[float], gap: float, weights: Sequence[float]
) -> list[float]:  # fmt: skip
    """Places in this order, far enough apart, whose squared distances from those wanted have the smallest sum.

    That is isotonic regression, solved by pooling neighbours that are out of order ("pool adjacent violators", Ayer et al. 1955).
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
