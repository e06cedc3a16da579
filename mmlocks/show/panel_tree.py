"""The tree of VMAs: its nodes, and their ranges. Each function draws one part at a place."""

from __future__ import annotations

from mmlocks.show.draw import MONO, SMALL, Pen
from mmlocks.show.panel_lock import PAD, protection
from mmlocks.show.panel_space import HEAD
from mmlocks.show.scene_parts import NodeState, TreeState, cpus_text

NODE = 72
"""Height of a node whose ranges fit into one row, and the gap below it."""


RANGES = 38
"""Height of a row of ranges."""


def tree_height(nodes: int) -> float:
    """Height of a tree of `nodes` nodes, dead ones included."""
    return HEAD + nodes * NODE


def tree(
    pen: Pen,
    x: float,
    y: float,
    width: float,
    height: float,
    now: TreeState,
    before: TreeState | None,
) -> None:
    """The tree of VMAs: its root, and each node that exists or existed, with its ranges."""
    pen.box(x, y, width, height, "card", radius=6)
    pen.text(x + PAD, y + 18, "Tree of VMAs", "b")
    changed = before is not None and before.root != now.root
    about = protection("MapleTree.ma_root")
    pen.field(x + PAD, y + 40, f"ma_root → {now.root}", changed, "m", about)
    known = {shown.name: shown for shown in before.nodes} if before is not None else {}
    top = y + HEAD
    for shown in now.nodes:
        top += node(pen, x + 6, top, width - 12, shown, known.get(shown.name), before is not None)


def node(
    pen: Pen,
    x: float,
    y: float,
    width: float,
    now: NodeState,
    before: NodeState | None,
    compare: bool,
) -> float:
    """A node: what has become of it, which CPUs are about to use it, and its ranges.

    `compare` is False at the first moment: nothing is new then. Returns the height used.
    """
    rows = _rows(now, width - 16)
    height = NODE - 10 + (len(rows) - 1) * RANGES if now.ranges or now.users else 26
    pen.box(x, y, width, height, "bad" if now.state == "freed" else "area", radius=5)
    left = x + 8
    left += pen.field(left, y + 17, now.name, compare and before is None, "m b") + 10
    words = ""
    if now.state in ("dead", "freed"):
        left += pen.warning(left, y + 17, now.state.upper()) + 6
        if now.awaited:
            words = f"freed when {cpus_text(now.awaited)} leaves RCU"
            pen.text(left, y + 17, words, "q s")
    else:
        words = {"root": "the root", "inner": "in the tree"}.get(now.state, now.state)
        changed = compare and before is not None and before.state != now.state
        pen.remark(left, y + 17, words, changed)
    end = x + width - 8
    needed = len(now.users) * (len("cpu0 uses it next") * SMALL + 14)
    does = "uses it next" if left + (len(words) + 1) * MONO + needed < end else "next"
    for cpu in reversed(now.users):
        text = f"cpu{cpu} {does}"
        end -= len(text) * SMALL + 10
        pen.cpu_chip(end, y + 17, text, cpu)
        end -= 4
    known = set(before.ranges) if before is not None and compare else None
    for index, row in enumerate(rows):
        ranges(pen, x + 8, y + 26 + index * RANGES, row, known, now.state)
    if now.users and not now.ranges:
        pen.hatch(x + 8, y + 28, width - 16, 24, 9)
    return height + 10


PlacedRange = tuple[str, int | None, float]
"""What a range leads to, its end, and the width of its box."""


def _rows(now: NodeState, width: float) -> list[list[PlacedRange]]:
    """The ranges in rows: each in a box with room for its name, and for the boundary at its end."""
    rows: list[list[PlacedRange]] = [[]]
    for index, (what, end) in enumerate(now.ranges):
        boundary = 0 if end is None else len(f"{end:#x}") * SMALL + 3
        outer = index in (0, len(now.ranges) - 1)
        box = max(len(what) * SMALL + 9, boundary * (0.5 if outer else 1))
        if rows[-1] and sum(size for *_, size in rows[-1]) + max(box, boundary) > width:
            rows.append([])
        rows[-1].append((what, end, max(box, boundary) if not rows[-1] and index else box))
    wider = min(1.25, width / max(sum(size for *_, size in rows[0]), 1)) if len(rows) == 1 else 1
    return [[(what, end, size * wider) for what, end, size in row] for row in rows]


def ranges(
    pen: Pen,
    x: float,
    y: float,
    row: list[PlacedRange],
    known: set[tuple[str, int | None]] | None,
    state: str,
) -> None:
    """A row of ranges; the new ones are marked."""
    with pen.about(protection("MapleNode.ranges")):
        for what, end, size in row:
            changed = known is not None and (what, end) not in known
            box = "hot" if changed else "free" if what == "gap" else "card"
            kind = "m s k" if changed else "m s q" if what == "gap" else "m s b"
            pen.box(x, y, size, 19, box, radius=0)
            pen.text(x + size / 2, y + 13.5, what, kind, "middle")
            x += size
            if end is not None:
                pen.text(x, y + 31, f"{end:#x}", "m s q", "middle")
        if state == "dead":
            total = sum(size for *_, size in row)
            pen.hatch(x - total, y, total, 19, 9)
