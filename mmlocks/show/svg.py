"""The picture of one moment: a pure function from (world, run, step) to SVG.

No ids, no scripts and no clock: the same moment is always the same text. Colours come from JupyterLab where there is one, and
otherwise from what the reader's system prefers.
"""

from __future__ import annotations

from pathlib import Path

from mmlocks.machine import Run
from mmlocks.mm.world import World
from mmlocks.show.draw import LINE, SANS, Pen, cpu_colour, cpu_ink, document, fit, number
from mmlocks.show.panels import (
    FRAME,
    card,
    card_height,
    frame,
    space,
    space_height,
    strip,
    strip_height,
)
from mmlocks.show.scene import Scene, scene
from mmlocks.show.text import moment, scene_text

WIDE = 960
NARROW = 440
"""Below this width everything stands in one column."""
GAP = 14
SHOWN_TLB_ROWS = 4


def picture(world: World, run: Run, at: int | None = None, width: int = WIDE, heading: bool = True) -> str:
    """The state after `at` steps (default: all) as an SVG document. `width` decides between columns and one column."""
    now = scene(world, run, at)
    before = scene(world, run, now.at - 1) if now.at else None
    title = moment(run, now.at)
    pen = Pen()
    height = body(pen, 0, 0, width, world, run, now, before, heading)
    return document(width, height, f"{title}: {_happened(run, now)}", scene_text(now, run), pen.parts)


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
    return _memory(pen, left, top, room, world, now, before, wide, cards_end if single_row else None) + 8 - y


def headline(pen: Pen, x: float, y: float, width: float, run: Run, now: Scene) -> float:
    """Which moment this is, and what has just happened; returns the height used, the same at every step of a width."""
    lines = 2 if width >= 800 else 4
    pen.text(x, y + 16, moment(run, now.at), "h")
    texts = fit(_happened(run, now), width - (60 if now.at else 8), lines, SANS * 1.13)
    if now.at:
        cpu = run.cpus[now.at - 1]
        pen.chip(x, y + 37, f"cpu{cpu}", cpu_colour(cpu), cpu_ink(cpu))
    if now.violation is not None:
        pen.hatch(x, y + 22 + lines * LINE, width, 5)
    for index, text in enumerate(texts):
        pen.text(
            x + (52 if now.at else 0), y + 37 + index * LINE, text, "w" if now.violation is not None else ""
        )
    return 30 + lines * LINE


def _happened(run: Run, now: Scene) -> str:
    if now.violation is not None:
        return f"Rule broken: {now.violation.message}."
    return run.told(now.at - 1) if now.at else "Nobody has taken a step yet. Every CPU can."


def _cards(
    pen: Pen, x: float, y: float, width: float, world: World, now: Scene, before: Scene | None, wide: bool
) -> float:
    columns = _columns(len(now.cpus)) if wide else 1
    each = (width - GAP * (columns - 1)) / columns
    rows = min(len(world.pages), SHOWN_TLB_ROWS)
    height = card_height(rows, wide)
    for index, cpu in enumerate(now.cpus):
        column, row = index % columns, index // columns
        known = before.cpus[index] if before is not None else None
        card(pen, x + column * (each + GAP), y + row * (height + GAP), each, height, cpu, known, wide)
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
    """Parent, frames and child: beside each other with arrows, or one below the other."""
    areas = len(world.mm.vmas)
    tall = space_height(areas, len(world.pages))
    was = {frame.name: frame for frame in before.frames} if before is not None else {}
    frames = len(now.frames) * FRAME + 26.0
    parent_was, child_was = (before.parent, before.child) if before is not None else (None, None)
    if not wide:
        space(pen, x, y, width, tall, "Process (the parent)", now.parent, parent_was, True)
        top = y + tall + GAP
        pen.text(x, top + 12, "Physical memory", "b")
        half = (width - GAP) / 2
        for index, shown in enumerate(now.frames):
            frame(
                pen,
                x + index % 2 * (half + GAP),
                top + 24 + index // 2 * FRAME,
                half,
                shown,
                was.get(shown.name),
            )
        top += (len(now.frames) + 1) // 2 * FRAME + 26 + GAP
        space(pen, x, top, width, tall, "Child (made by fork)", now.child, child_was, False)
        return top + tall
    between = 56.0
    middle = 210.0
    side = (width - middle - 2 * between) / 2
    height = max(tall, frames)
    centre, right = x + side + between, x + side + 2 * between + middle
    mine = space(pen, x, y, side, height, "Process (the parent)", now.parent, parent_was, True)
    theirs = space(pen, right, y, side, height, "Child (made by fork)", now.child, child_was, False)
    pen.text(centre, y + 14, "Physical memory", "b")
    tops = {}
    for index, shown in enumerate(now.frames):
        tops[shown.name] = y + 24 + index * FRAME
        frame(pen, centre, tops[shown.name], middle, shown, was.get(shown.name))
    for entries, rows, start, end, direction in (
        (now.parent, mine, x + side - 6, centre, 1),
        (now.child, theirs, right + 6, centre + middle, -1),
    ):
        for entry in (entry for shown in entries.areas for entry in shown.pages):
            if entry.pte is not None and entry.pte.frame.name in tops and entry.page in rows:
                _arrow(
                    pen,
                    start,
                    rows[entry.page],
                    end,
                    tops[entry.pte.frame.name] + 14,
                    direction,
                    entry.pte.write,
                )
    if cards_end is not None:
        _stale_arrows(pen, x, width, cards_end, centre, tops, now)
    return y + height


def _arrow(pen: Pen, x1: float, y1: float, x2: float, y2: float, direction: int, write: bool) -> None:
    """From a page-table entry to its frame; thick if it may be written."""
    bend = 24 * direction
    end = x2 - 6 * direction
    points = [x1, y1, x1 + bend, y1, x2 - bend - 6 * direction, y2, end, y2]
    a, b, c, d, e, f, g, h = map(number, points)
    pen.path(f"M{a} {b}C{c} {d} {e} {f} {g} {h}", "thick" if write else "line")
    pen.tip(x2, y2, direction, "thicktip" if write else "tip")


def _stale_arrows(
    pen: Pen, x: float, width: float, cards_end: float, centre: float, tops: dict[str, float], now: Scene
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
