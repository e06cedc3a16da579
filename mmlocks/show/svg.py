"""The picture of one moment: a pure function from (world, run, step) to SVG.

No ids, no scripts and no clock: the same moment is always the same text. Colours come from JupyterLab where there is one, and
otherwise from what the reader's system prefers.
"""

from __future__ import annotations

from pathlib import Path

from mmlocks.machine import Run
from mmlocks.mm.world import World
from mmlocks.show.draw import (
    BOLD,
    LINE,
    SANS,
    Pen,
    cpu_colour,
    cpu_ink,
    document,
    fit,
    number,
    sans_width,
)
from mmlocks.show.panels import (
    FILE,
    FILING,
    FRAME,
    backing,
    card,
    card_height,
    frame,
    space,
    space_height,
    strip,
    strip_height,
    tree,
    tree_height,
)
from mmlocks.show.scene import Scene, has_filing, scene
from mmlocks.show.text import moment, scene_text

WIDE = 960
NARROW = 440
"""Below this width everything stands in one column."""
GAP = 14
SHOWN_TLB_ROWS = 4


def picture(
    world: World, run: Run, at: int | None = None, width: int = WIDE, heading: bool = True
) -> str:
    """The state after `at` steps (default: all) as an SVG document. `width` decides between columns and one column."""
    now = scene(world, run, at)
    before = scene(world, run, now.at - 1) if now.at else None
    title = moment(run, now.at)
    pen = Pen()
    height = body(pen, 0, 0, width, world, run, now, before, heading)
    return document(
        width, height, f"{title}: {_happened(run, now)}", scene_text(now, run), pen.parts
    )


def save(path: Path | str, svg: str) -> Path:
    """Write a picture to a file, and say where."""
    path = Path(path)
    path.write_text(svg, encoding="utf-8")
    return path


def body(
    pen: Pen,
    x: float,
    y: float,
    width: float,
    world: World,
    run: Run,
    now: Scene,
    before: Scene | None,
    heading: bool = True,
) -> float:
    """Draw a moment at a place; returns the height used."""
    top = y + 8
    left, room = x + 8, width - 16
    if heading:
        top += headline(pen, left, top, room, run, now) + 6
    strip(pen, left, top + 4, room, run, now.at)
    top += strip_height(run) + GAP
    wide = width >= 800
    cards_end = _cards(pen, left, top, room, world, now, before, wide)
    single_row = wide and len(now.cpus) <= 4
    top = cards_end + (GAP * 2 if wide else GAP)
    return (
        _memory(pen, left, top, room, world, now, before, wide, cards_end if single_row else None)
        + 8
        - y
    )


def headline(pen: Pen, x: float, y: float, width: float, run: Run, now: Scene) -> float:
    """Which moment this is, and what has just happened; returns the height used, the same at every step of a width."""
    lines = 2 if width >= 800 else 4
    title = moment(run, now.at)
    if sans_width(title) * BOLD * 15 / 13 > width:
        title = title.replace(", which breaks a rule: the state just before it", ": just before it")
    pen.text(x, y + 16, title, "h")
    bad = now.violation is not None
    texts = fit(_happened(run, now), width - (60 if now.at else 8), lines, SANS * 1.13, bad)
    if now.at:
        cpu = run.cpus[now.at - 1]
        pen.chip(x, y + 37, f"cpu{cpu}", cpu_colour(cpu), cpu_ink(cpu))
    if now.violation is not None:
        pen.hatch(x, y + 25 + lines * LINE, width, 5)
    for index, text in enumerate(texts):
        pen.text(
            x + (52 if now.at else 0),
            y + 37 + index * LINE,
            text,
            "w" if now.violation is not None else "",
        )
    return 30 + lines * LINE


def _happened(run: Run, now: Scene) -> str:
    if now.violation is not None:
        return f"Rule broken: {now.violation.message}."
    return run.told(now.at - 1) if now.at else "Nobody has taken a step yet. Every CPU can."


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
    columns = _columns(len(now.cpus)) if wide else 1
    each = (width - GAP * (columns - 1)) / columns
    rows = min(len(world.pages), SHOWN_TLB_ROWS)
    height = card_height(rows, wide)
    for index, cpu in enumerate(now.cpus):
        column, row = index % columns, index // columns
        known = before.cpus[index] if before is not None else None
        card(
            pen, x + column * (each + GAP), y + row * (height + GAP), each, height, cpu, known, wide
        )
    rows_used = -(-len(now.cpus) // columns)
    return y + rows_used * (height + GAP) - GAP


def _columns(cpus: int) -> int:
    """At most four cards in a row, and rows of about the same length."""
    rows = -(-cpus // 4)
    return -(-cpus // rows)


def _memory(
    pen: Pen, x: float, y: float, width: float, world: World, now: Scene, before: Scene | None, wide: bool,
    cards_end: float | None,
) -> float:  # fmt: skip
    """The process, the frames, and the child or the tree: beside each other with arrows, or one below the other."""
    filing = has_filing(world)
    areas = len(world.mm.vmas) + (len(list(world.mm.spare_vmas)) if now.tree is not None else 0)
    tall = space_height(max(areas, 1), len(world.pages), filing, world.referee)
    trees = tree_height(len(world.mm.mm_mt.nodes.members)) if now.tree is not None else 0.0
    each = FRAME + (FILING if filing else 0)
    mine, theirs = (before.parent, before.child) if before is not None else (None, None)
    process = "Process (the parent)" if now.forks else "Process"
    if not wide:
        space(pen, x, y, width, tall, process, now.parent, mine, True)
        top = y + tall + GAP
        if now.tree is not None:
            tree(pen, x, top, width, trees, now.tree, before.tree if before is not None else None)
            top += trees + GAP
        half = (width - GAP) / 2
        top = _frames(pen, x, top, half, 2, each, now, before, filing)[0]
        if now.forks:
            space(pen, x, top + GAP, width, tall, "Child (made by fork)", now.child, theirs, False)
            top += tall + GAP
        return top
    right_hand = now.forks or now.tree is not None
    between, middle = 56.0, 210.0
    side = (width - middle - 2 * between) / 2
    if not right_hand:  # the process has the room of what is not there
        side = width * 0.62
        middle = width - side - between
    centre, right = x + side + between, x + side + 2 * between + middle
    height = max(
        tall,
        len(now.frames) * each + len(now.files) * FILE + 26.0,
        trees + (tall + GAP if trees and now.forks else 0),
    )
    rows = space(pen, x, y, side, height, process, now.parent, mine, True)
    childs: dict[int, float] = {}
    if now.forks:
        beside = height - trees - GAP if trees else height
        childs = space(
            pen, right, y, side, beside, "Child (made by fork)", now.child, theirs, False
        )
    if now.tree is not None:
        top = y + height - trees if now.forks else y
        tall = trees if now.forks else height
        tree(pen, right, top, side, tall, now.tree, before.tree if before is not None else None)
    _, tops = _frames(pen, centre, y, middle, 1, each, now, before, filing)
    for entries, ys, start, end, direction in (
        (now.parent, rows, x + side - 6, centre, 1),
        (now.child, childs, right + 6, centre + middle, -1),
    ):
        for entry in (*(entry for shown in entries.areas for entry in shown.pages), *entries.loose):
            if entry.pte is not None and entry.pte.frame.name in tops and entry.page in ys:
                to = tops[entry.pte.frame.name] + 14
                _arrow(pen, start, ys[entry.page], end, to, direction, entry.pte.write)
    if cards_end is not None:
        _stale_arrows(pen, x, width, cards_end, centre, tops, now)
    return y + height


def _frames(
    pen: Pen, x: float, y: float, width: float, columns: int, each: float, now: Scene, before: Scene | None, filing: bool
) -> tuple[float, dict[str, float]]:  # fmt: skip
    """Physical memory, with the files first whose pages are among it. Returns its end, and the y of every frame."""
    was = {frame.name: frame for frame in before.frames} if before is not None else {}
    files = {file.name: file for file in before.files} if before is not None else {}
    pen.text(x, y + (14 if columns == 1 else 12), "Physical memory", "b")
    top = y + 24
    for file in now.files:
        backing(pen, x, top, width * columns + GAP * (columns - 1), file, files.get(file.name))
        top += FILE
    tops = {}
    for index, shown in enumerate(now.frames):
        tops[shown.name] = top + index // columns * each
        place = x + index % columns * (width + GAP)
        frame(pen, place, tops[shown.name], width, shown, was.get(shown.name), filing)
    return top + 2 - (-len(now.frames) // columns) * each, tops


def _arrow(
    pen: Pen, x1: float, y1: float, x2: float, y2: float, direction: int, write: bool
) -> None:
    """From a page-table entry to its frame; thick if it may be written."""
    bend = 24 * direction
    end = x2 - 6 * direction
    points = [x1, y1, x1 + bend, y1, x2 - bend - 6 * direction, y2, end, y2]
    a, b, c, d, e, f, g, h = map(number, points)
    pen.path(f"M{a} {b}C{c} {d} {e} {f} {g} {h}", "thick" if write else "line")
    pen.tip(x2, y2, direction, "thicktip" if write else "tip")


def _stale_arrows(
    pen: Pen,
    x: float,
    width: float,
    cards_end: float,
    centre: float,
    tops: dict[str, float],
    now: Scene,
) -> None:
    """From a TLB that is out of date, past everything, to the frame that it still reaches."""
    each = (width - GAP * (len(now.cpus) - 1)) / len(now.cpus)
    lane = 0
    for index, cpu in enumerate(now.cpus):
        for cached in cpu.tlb:
            if cached.stale and cached.entry.frame.name in tops:
                start = x + index * (each + GAP) + 60 + 8 * lane
                level, column = cards_end + 9 + 5 * lane, centre - 22 - 6 * lane
                end = tops[cached.entry.frame.name] + 34 + 4 * lane
                points = map(number, (start, cards_end, level, column, end, centre - 7))
                a, b, c, d, e, f = points
                pen.path(f"M{a} {b}V{c}H{d}V{e}H{f}", "stale")
                pen.tip(centre, end, 1, "staletip")
                lane += 1
