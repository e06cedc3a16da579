"""The picture of one moment: a pure function from (world, run, step) to SVG.

No ids, no scripts and no clock: the same moment is always the same text. Colours come from
JupyterLab where there is one, and otherwise from what the reader's system prefers.
"""

from __future__ import annotations

from pathlib import Path

from mmlocks.machine import Run
from mmlocks.mm.world import World
from mmlocks.show.draw import (
    BOLD,
    COLUMNS_FROM,
    GAP,
    LINE,
    SANS,
    WIDE,
    Pen,
    document,
    fit,
    number,
    sans_width,
)
from mmlocks.show.panel_cpu import card, card_height, strip, strip_height
from mmlocks.show.panel_frames import FILE, FRAME, file, frame
from mmlocks.show.panel_lock import FILING
from mmlocks.show.panel_space import space, space_height
from mmlocks.show.panel_tree import tree, tree_height
from mmlocks.show.scene import has_filing, scene
from mmlocks.show.scene_parts import Scene, SpaceState
from mmlocks.show.state_text import moment, scene_text

SHOWN_TLB_ROWS = 4
BETWEEN = 56.0
"""Room for arrows between an address space and the frames."""
FRAMES = 210.0
"""Width of the column of frames, where something stands to its right."""


def state_picture(
    world: World, run: Run, at: int | None = None, width: int = WIDE, heading: bool = True
) -> str:
    """The state after `at` steps (default: all) as an SVG document.

    `width` decides between columns and one column.
    """
    now = scene(world, run, at)
    before = scene(world, run, now.at - 1) if now.at else None
    title = moment(run, now.at)
    pen = Pen()
    left, room, top = 8.0, width - 16.0, 8.0
    if heading:
        top += _headline(pen, left, top, room, run, now) + 6
    strip(pen, left, top + 4, room, run, now.at)
    top += strip_height(run) + GAP
    wide = width >= COLUMNS_FROM
    cards_end = _cards(pen, left, top, room, world, now, before, wide)
    memory = _Memory(pen, world, now, before)
    if wide:
        bottom = memory.in_columns(left, cards_end + GAP * 2, room, cards_end)
    else:
        bottom = memory.in_one_column(left, cards_end + GAP, room)
    description = scene_text(now, run)
    return document(width, bottom + 8, f"{title}: {_happened(run, now)}", description, pen.parts)


def save(path: Path | str, svg: str) -> Path:
    """Write a picture to a file, and say where."""
    path = Path(path)
    path.write_text(svg, encoding="utf-8")
    return path


def _headline(pen: Pen, x: float, y: float, width: float, run: Run, now: Scene) -> float:
    """Which moment this is, and what has just happened.

    Returns the height used. It depends on the width alone, so it is the same at every step.
    """
    lines = 2 if width >= COLUMNS_FROM else 4
    title = moment(run, now.at)
    if sans_width(title) * BOLD * 15 / 13 > width:
        title = title.replace(", which breaks a rule: the state just before it", ": just before it")
    pen.text(x, y + 16, title, "h")
    bad = now.violation is not None
    texts = fit(_happened(run, now), width - (60 if now.at else 8), lines, SANS * 1.13, bad)
    if now.at:
        cpu = run.cpus[now.at - 1]
        pen.cpu_chip(x, y + 37, f"cpu{cpu}", cpu)
    if bad:
        pen.hatch(x, y + 25 + lines * LINE, width, 5)
    pen.lines(x + (52 if now.at else 0), y + 37, texts, "w" if bad else "")
    return 30 + lines * LINE


def _happened(run: Run, now: Scene) -> str:
    if now.violation is not None:
        return f"Rule broken: {now.violation.message}."
    return run.told(now.at - 1) if now.at else "No CPU has taken a step yet. Every CPU can."


def _cards(
    pen: Pen,
    x: float,
    y: float,
    width: float,
    world: World,
    now: Scene,
    before: Scene | None,
    wide: bool,
) -> float:
    """A card for every CPU, in one column, or in rows of at most four. Returns where they end."""
    rows = -(-len(now.cpus) // (4 if wide else 1))
    columns = -(-len(now.cpus) // rows)
    each = (width - GAP * (columns - 1)) / columns
    height = card_height(min(len(world.pages), SHOWN_TLB_ROWS), wide)
    for index, cpu in enumerate(now.cpus):
        known = before.cpus[index] if before is not None else None
        left, top = x + index % columns * (each + GAP), y + index // columns * (height + GAP)
        card(pen, left, top, each, height, cpu, known, wide)
    return y + rows * (height + GAP) - GAP


class _Memory:
    """The lower half of a picture: the process, the frames, and the child or the tree."""

    def __init__(self, pen: Pen, world: World, now: Scene, before: Scene | None) -> None:
        self.pen, self.now, self.before = pen, now, before
        self.filing = has_filing(world)
        spare = 0 if now.tree is None else len(list(world.mm.spare_vmas))
        vmas = max(len(world.mm.vmas) + spare, 1)
        self.space = space_height(vmas, len(world.pages), self.filing, world.referee)
        self.tree = 0.0 if now.tree is None else tree_height(len(world.mm.mm_mt.nodes.members))
        self.frame = FRAME + (FILING if self.filing else 0)

    # -- its parts --

    def draw_process(self, x: float, y: float, width: float, height: float) -> dict[int, float]:
        """Returns the y of every page's entry."""
        title = "Process (the parent)" if self.now.forks else "Process"
        before = self.before.parent if self.before is not None else None
        return space(self.pen, x, y, width, height, title, self.now.parent, before, True)

    def draw_child(self, x: float, y: float, width: float, height: float) -> dict[int, float]:
        """Returns the y of every page's entry."""
        title = "Child (made by fork)"
        before = self.before.child if self.before is not None else None
        return space(self.pen, x, y, width, height, title, self.now.child, before, False)

    def draw_tree(self, x: float, y: float, width: float, height: float) -> None:
        if self.now.tree is not None:
            before = self.before.tree if self.before is not None else None
            tree(self.pen, x, y, width, height, self.now.tree, before)

    def draw_frames(
        self, x: float, y: float, width: float, columns: int
    ) -> tuple[float, dict[str, float]]:
        """Physical memory, below the files whose pages are in it, in columns so wide.

        Returns where it ends, and the y of every frame.
        """
        now, before = self.now, self.before
        frames = {shown.name: shown for shown in before.frames} if before is not None else {}
        files = {shown.name: shown for shown in before.files} if before is not None else {}
        self.pen.text(x, y + (14 if columns == 1 else 12), "Physical memory", "b")
        top = y + 24
        whole = width * columns + GAP * (columns - 1)
        for shown in now.files:
            file(self.pen, x, top, whole, shown, files.get(shown.name))
            top += FILE
        tops = {}
        for index, each in enumerate(now.frames):
            left = x + index % columns * (width + GAP)
            tops[each.name] = top + index // columns * self.frame
            was = frames.get(each.name)
            frame(self.pen, left, tops[each.name], width, each, was, self.filing)
        return top + 2 + -(-len(now.frames) // columns) * self.frame, tops

    # -- all of it --

    def in_one_column(self, x: float, y: float, width: float) -> float:
        """One part below the other, without arrows; returns where they end."""
        self.draw_process(x, y, width, self.space)
        top = y + self.space + GAP
        if self.now.tree is not None:
            self.draw_tree(x, top, width, self.tree)
            top += self.tree + GAP
        top, _ = self.draw_frames(x, top, (width - GAP) / 2, 2)
        if self.now.forks:
            self.draw_child(x, top + GAP, width, self.space)
            top += self.space + GAP
        return top

    def in_columns(self, x: float, y: float, width: float, cards_end: float) -> float:
        """The process, frames, the child above the tree, and arrows; returns where they end."""
        now = self.now
        side, middle = (width - FRAMES - 2 * BETWEEN) / 2, FRAMES
        if not now.forks and now.tree is None:  # nothing at the right: the process has more room
            side = width * 0.62
            middle = width - side - BETWEEN
        centre, right = x + side + BETWEEN, x + side + 2 * BETWEEN + middle
        frames = len(now.frames) * self.frame + len(now.files) * FILE + 26.0
        both = now.forks and now.tree is not None
        beside = self.tree + (self.space + GAP if both else 0)
        height = max(self.space, frames, beside)
        entries = self.draw_process(x, y, side, height)
        childs: dict[int, float] = {}
        if now.forks:
            childs = self.draw_child(right, y, side, height - self.tree - GAP if both else height)
        if both:
            self.draw_tree(right, y + height - self.tree, side, self.tree)
        else:
            self.draw_tree(right, y, side, height)
        _, tops = self.draw_frames(centre, y, middle, 1)
        self._arrows(now.parent, entries, tops, x + side - 6, centre, 1)
        self._arrows(now.child, childs, tops, right + 6, centre + middle, -1)
        if len(now.cpus) <= 4:  # else the cards of a second row are in the way
            self._stale_arrows(x, width, cards_end, centre, tops)
        return y + height

    def _arrows(
        self,
        shown: SpaceState,
        entries: dict[int, float],
        tops: dict[str, float],
        start: float,
        end: float,
        direction: int,
    ) -> None:
        """From every page-table entry to its frame."""
        for entry in shown.entries:
            if entry.pte is not None and entry.pte.frame.name in tops and entry.page in entries:
                y = tops[entry.pte.frame.name] + 14
                self._arrow(start, entries[entry.page], end, y, direction, entry.pte.write)

    def _arrow(
        self, x1: float, y1: float, x2: float, y2: float, direction: int, write: bool
    ) -> None:
        """One arrow, thick if the frame may be written."""
        bend = 24 * direction
        end = x2 - 6 * direction
        points = [x1, y1, x1 + bend, y1, x2 - bend - 6 * direction, y2, end, y2]
        a, b, c, d, e, f, g, h = map(number, points)
        self.pen.path(f"M{a} {b}C{c} {d} {e} {f} {g} {h}", "thick" if write else "line")
        self.pen.tip(x2, y2, direction, "thicktip" if write else "tip")

    def _stale_arrows(
        self, x: float, width: float, cards_end: float, centre: float, tops: dict[str, float]
    ) -> None:
        """From every stale TLB entry, around the process, to the frame that it still reaches."""
        each = (width - GAP * (len(self.now.cpus) - 1)) / len(self.now.cpus)
        lane = 0
        for index, cpu in enumerate(self.now.cpus):
            for cached in cpu.tlb:
                if cached.stale and cached.entry.frame.name in tops:
                    start = x + index * (each + GAP) + 60 + 8 * lane
                    level, column = cards_end + 9 + 5 * lane, centre - 22 - 6 * lane
                    end = tops[cached.entry.frame.name] + 34 + 4 * lane
                    points = map(number, (start, cards_end, level, column, end, centre - 7))
                    a, b, c, d, e, f = points
                    self.pen.path(f"M{a} {b}V{c}H{d}V{e}H{f}", "stale")
                    self.pen.tip(centre, end, 1, "staletip")
                    lane += 1
