"""Physical memory: frames, and the files whose pages are among them."""

from __future__ import annotations

from mmlocks.show.draw import MONO, SMALL, Pen
from mmlocks.show.panel_lock import FILING, lock, protection
from mmlocks.show.scene_parts import FileState, FrameState

FRAME = 62


FILE = 62
"""Height of a file, and the gap below it."""


def frame(
    pen: Pen,
    x: float,
    y: float,
    width: float,
    now: FrameState,
    before: FrameState | None,
    filing: bool = False,
) -> None:
    """A frame: its count, its words, where it is filed, and which stale TLBs still reach it."""
    height = FRAME - 8 + (FILING if filing else 0)
    if not now.count:
        pen.box(x, y, width, height, "free", radius=4)
        pen.text(x + 8, y + 18, now.name, "m b q")
        freed = before is not None and before.count > 0
        pen.field(x + 36, y + 18, "freed" if freed else "free", freed, "m s q")
        if now.allocated_by is not None:
            pen.text(x + 8, y + 36, f"for cpu{now.allocated_by} to allocate", "q s")
        return
    pen.box(x, y, width, height, "area", radius=4)
    if now.filed:
        pen.remark(x + 8, y + 63, now.filed, before is not None and before.filed != now.filed)
    if now.told is not None:
        told = "its file system was told" if now.told else "its file system was not told"
        pen.remark(x + 8, y + 63, told, before is not None and before.told != now.told)
    pen.field(x + 8, y + 18, now.name, before is not None and not before.count, "m b")
    count = f"count {now.count}"
    changed = before is not None and before.count != now.count
    pen.field(x + width - 8 - len(count) * MONO, y + 18, count, changed)
    words(pen, x + 8, y + 40, now, before, 20, "card")
    stale = [user.split("'")[0] for user in now.users if "stale" in user]
    if stale:
        text = f"{', '.join(stale)} STALE"
        pen.warning(x + width - 18 - len(text) * SMALL, y + 40, text)


def words(
    pen: Pen,
    x: float,
    y: float,
    now: FrameState,
    before: FrameState | None,
    height: float,
    kind: str,
) -> None:
    """A frame's words on the baseline y, each in a box that is yellow if it has just changed."""
    for value, was in zip(now.words, (before or now).words, strict=True):
        size = max(22.0, len(str(value)) * MONO + 10)
        pen.box(x, y - 14, size, height, "hot" if value != was else kind, radius=2)
        pen.text(x + size / 2, y, str(value), "m k" if value != was else "m", "middle")
        x += size + 3


def file(
    pen: Pen, x: float, y: float, width: float, now: FileState, before: FileState | None
) -> None:
    """A file: its lock, and the VMAs that i_mmap lists."""
    pen.box(x, y, width, FILE - 8, "card", radius=4)
    pen.text(x + 8, y + 15, f"file {now.name}", "b")
    mapped = f"i_mmap: {', '.join(now.mapped) or 'no VMA'}"
    lock(pen, x + 8, y + 32, "i_mmap_rwsem", now.lock, before.lock if before is not None else None)
    changed = before is not None and before.mapped != now.mapped
    pen.remark(x + 8, y + 48, mapped, changed, protection("File.i_mmap"))
