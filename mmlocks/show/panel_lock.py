"""What several panels draw: a lock with the CPUs that hold it, and what protects a field."""

from __future__ import annotations

from functools import cache

from mmlocks.oracles.fields import FIELDS
from mmlocks.show.draw import SMALL, Pen
from mmlocks.show.scene_parts import LockState

PAD = 10
"""Between the border of a panel and what is in it."""
FILING = 18
"""Height of the line that says where pages are filed: a line of a VMA, and of a frame."""


@cache
def protection(*fields: str) -> str:
    """What protects fields, from the table of fields: shown while the pointer rests on them."""
    texts: dict[str, list[str]] = {}
    for field in fields:
        texts.setdefault(FIELDS[field].protected_by, []).append(field.rpartition(".")[2])
    return "; ".join(f"{', '.join(names)}: {text}" for text, names in texts.items())


def lock(
    pen: Pen,
    x: float,
    y: float,
    name: str,
    now: LockState,
    before: LockState | None,
    room: float = 1000.0,
) -> None:
    """A lock's name and the CPUs that hold it."""
    changed = before is not None and before != now
    left = x + pen.field(x, y, name, changed) + 8
    if now.free:
        pen.text(left, y, "free", "q s")
    held_chips(pen, left, y, now, x + room - left)


def held_chips(pen: Pen, x: float, y: float, now: LockState, room: float = 1000.0) -> float:
    """A label for every CPU that holds a lock, a short one if there is little room.

    Returns where they end.
    """
    if now.writer is not None:
        text = f"cpu{now.writer}" if now.spinning else f"cpu{now.writer} write"
        x += pen.cpu_chip(x, y, text, now.writer) + 4
    short = len(now.readers) * (len("cpu0 read") * SMALL + 14) > room
    for reader in now.readers:
        x += pen.cpu_chip(x, y, f"cpu{reader}" if short else f"cpu{reader} read", reader) + 4
    if short and now.readers:
        pen.text(x, y, "read", "q s")
    return x
