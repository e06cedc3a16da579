"""The words and chips at the edges of a state graph: none covers anything else."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise, product

from mmlocks.explain.state_graph import Edge
from mmlocks.show.draw import SMALL, Pen, cpu_colour, cpu_ink, fit

TIMES = "×"  # noqa: RUF001
Point = tuple[float, float]
Box = tuple[float, float, float, float]
"""Left, top, right and bottom."""


class Labels:
    """Puts labels where there is room.

    `taken` are the boxes of vertices and labels. `cut` says that some edge is not told in full.
    """

    def __init__(self, pen: Pen, width: float, words: bool, chips: bool) -> None:
        self.pen, self.width, self.words, self.chips = pen, width, words, chips
        self.taken: list[Box] = []
        self.crossed: list[Point] = []
        self.cut = False

    def avoid(self, paths: Sequence[Sequence[Point]]) -> None:
        """Keep words off these edges."""
        pieces = [piece for path in paths for piece in pairwise(path)]
        self.crossed = [_along(piece, step / 40) for piece in pieces for step in range(41)]

    def put(self, edge: Edge, path: Sequence[Point], words: bool) -> None:
        """Which CPU takes the step and, where there is room, what its first step does.

        A label that would cover something else is left out.
        """
        said = edge.moves[0].words + ("; …" if len(edge.moves) > 1 else "")
        if not self.chips or not path:
            self.cut = True
            return
        turns = groupby(move.cpu for move in edge.moves)
        runs = [(cpu, len(list(steps))) for cpu, steps in turns]
        size = sum(13 + (len(f"{TIMES}{count}") * 6.7 if count > 1 else 0) + 4 for _, count in runs)
        tries = [fit(said, room, 1, SMALL)[0] for room in (330, 190, 110) if self.words and words]
        shares = (0.5, 0.4, 0.6, 0.3, 0.7, 0.22, 0.78)
        for text, left, share in product([*tries, ""], (False, True), shares):
            x, y = _along(path, share)
            start, end = x - 8, x - 6 + size  # of the chips
            room = len(text) * SMALL
            beside = (start - room - 4, start - 2) if left else (end - 4, end + room)
            box = (start, y - 8, end, y + 8)
            if text:
                box = (min(start, beside[0]), y - 8, max(end, beside[1]), y + 8)
            if self._is_free(box, (beside[0], y - 7, beside[1], y + 7) if text else None):
                self.taken.append(box)
                end = self._chips(x, y, runs)
                at, anchor = (x - 10, "end") if left else (end - 6, "")
                if text:
                    self.pen.text(at, y + 4, text, "m s halo", anchor)
                self.cut |= text != said or len(edge.moves) > 1
                return
        self.cut = True

    def _is_free(self, box: Box, words: Box | None) -> bool:
        """Whether a label fits in a box: nothing else is there, and no edge crosses its words."""
        if box[0] < 4 or box[2] > self.width - 4:
            return False
        if any(_overlap(box, other) for other in self.taken):
            return False
        return words is None or not any(_within(point, words) for point in self.crossed)

    def _chips(self, x: float, y: float, runs: Sequence[tuple[int, int]]) -> float:
        """Which CPU takes how many steps; returns where the chips end."""
        for cpu, count in runs:
            cpu_box(self.pen, x, y, cpu)
            x += 9
            if count > 1:
                self.pen.text(x, y + 4, f"{TIMES}{count}", "m s halo")
                x += len(f"{TIMES}{count}") * 6.7
            x += 8
        return x


def cpu_box(pen: Pen, x: float, y: float, cpu: int) -> None:
    """A CPU's number in its colour; (x, y) is the middle."""
    pen.box(x - 6.5, y - 7.5, 13, 15, fill=cpu_colour(cpu), radius=3)
    pen.text(x, y + 4, str(cpu), "m s", "middle", cpu_ink(cpu))


def _along(points: Sequence[Point], share: float) -> Point:
    """The point of the first piece of a curve at that share of its way."""
    (x1, y1), (x2, y2) = points[0], points[1]
    t, s = share, 1 - share
    x = x1 * (s**3 + 3 * s * s * t) + x2 * (3 * s * t * t + t**3)
    y = y1 * s**3 + (y1 + y2) / 2 * (3 * s * s * t + 3 * s * t * t) + y2 * t**3
    return x, y


def _within(point: Point, box: Box) -> bool:
    return box[0] < point[0] < box[2] and box[1] < point[1] < box[3]


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
