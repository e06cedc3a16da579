"""An address space: its lock, its VMAs, their pages. Each function draws one part at a place."""

from __future__ import annotations

from mmlocks.show.draw import BOLD, MONO, Pen, number, sans_width
from mmlocks.show.panel_lock import FILING, PAD, lock, protection
from mmlocks.show.scene_parts import PteState, SpaceState, VmaState, cpus_text

HEAD = 54
"""Height of an address space's head, and of a tree's."""
VMA = 62
"""Height of a VMA without its pages."""
GONE = 44
"""Height of a VMA that has been freed."""
PAGE = 40
UNTOLD = 28
"""Height of a page where it is not known what was stored there."""


def space_height(vmas: int, pages: int, filing: bool = False, referee: bool = True) -> float:
    """Height of an address space with `vmas` VMAs and `pages` pages in all."""
    each = VMA + 10.0 + (FILING if filing else 0)
    return HEAD + vmas * each + pages * (PAGE if referee else UNTOLD)


def _page_height(shown: PteState, parent: bool) -> int:
    return PAGE if shown.stored or not parent else UNTOLD


def space(
    pen: Pen,
    x: float,
    y: float,
    width: float,
    height: float,
    title: str,
    now: SpaceState,
    before: SpaceState | None,
    parent: bool,
) -> dict[int, float]:
    """An address space: its lock, its VMAs, their pages.

    Returns the y of every page's entry, for arrows.
    """
    pen.box(x, y, width, height, "card", radius=6)
    taken = 0 if now.page_table_lock.free else len("page_table_lock ") * MONO + 46
    if sans_width(title) * BOLD + taken > width - PAD:  # the lock's holder matters more
        title = title.partition(" (")[0]
    pen.text(x + PAD, y + 18, title, "b")
    if not now.vmas and not now.loose:
        empty = "no VMA" if parent else "no VMA yet: fork has not copied any"
        pen.text(x + PAD, y + (66 if parent else 42), empty, "q")
        if not parent:
            return {}
    seq = f"mm_lock_seq {now.seq}"
    left = x + width - PAD - len(seq) * MONO
    room = width - 2 * PAD - len(seq) * MONO
    lock(pen, x + PAD, y + 40, "mmap_lock", now.lock, before.lock if before else None, room)
    changed = before is not None and before.seq != now.seq
    pen.field(left, y + 40, seq, changed, "m q", protection("Mm.mm_lock_seq"))
    if not now.page_table_lock.free:
        used = len("page_table_lock ") * MONO
        pen.text(x + width - PAD - used - 36, y + 18, "page_table_lock", "m s q")
        holder = now.page_table_lock
        pen.cpu_chip(x + width - PAD - 38, y + 18, str(holder), holder.writer or 0)
    rows: dict[int, float] = {}
    known = {shown.name: shown for shown in before.vmas} if before else {}
    top = y + HEAD
    for shown in now.vmas:
        was = known.get(shown.name)
        compare = before is not None
        top += 10 + vma(pen, x + 6, top, width - 12, shown, was, compare, now.seq, parent, rows)
    for loose in now.loose:
        rows[loose.page] = top + 14
        page(pen, x + 6, top, width - 12, loose, None, parent)
        top += _page_height(loose, parent)
    return rows


def vma(
    pen: Pen,
    x: float,
    y: float,
    width: float,
    now: VmaState,
    before: VmaState | None,
    compare: bool,
    mm_seq: int,
    parent: bool,
    rows: dict[int, float],
) -> float:
    """A VMA with its lock drawn on it, and its pages inside; returns its height.

    `compare` is False at the first moment: nothing is new then. Notes in `rows` where pages are.
    """
    if now.fate == "freed":
        freed_vma(pen, x, y, width, now)
        return GONE
    head = VMA + (FILING if now.filing else 0)
    height = head + sum(_page_height(shown, parent) for shown in now.pages)
    pen.box(x, y, width, height, "area", radius=5)
    fresh = compare and (before is None or (before.start, before.end) != (now.start, now.end))
    about = protection("Vma.vm_start", "Vma.vm_end")
    used = pen.field(x + 8, y + 17, f"VMA {now.range}", fresh, "m b", about)
    if now.fate:
        told = compare and before is not None and before.fate != now.fate
        size = len(now.fate) * MONO
        if 8 + used + 10 + size < width:
            pen.remark(x + 8 + used + 10, y + 17, now.fate, told)
        else:
            pen.remark(x + width - 8 - size, y + 36, now.fate, told)
    if now.awaited:
        waits = f"RCU keeps it for {cpus_text(now.awaited)}"
        pen.text(x + width - 8, y + 54, waits, "q s", "end")
    if now.filing:
        filed(pen, x + 8, y + 72, now, before)
    lock(pen, x + 8, y + 36, "vm_lock", now.lock, before.lock if before else None)
    text = f"vm_lock_seq {now.seq} {'=' if now.write_locked else '≠'} {mm_seq}"
    was = before or now
    changed = (was.seq, was.write_locked) != (now.seq, now.write_locked)
    used = pen.field(x + 8, y + 54, text, changed, "m q", protection("Vma.vm_lock_seq"))
    if now.write_locked:
        pen.chip(x + 8 + used + 8, y + 54, "WRITE-LOCKED", "#0072B2", "#fff")
    elif not now.awaited:
        pen.text(x + 8 + used + 8, y + 54, "not write-locked", "q s")
    known = {entry.page: entry for entry in before.pages} if before else {}
    top = y + head
    for shown in now.pages:
        rows[shown.page] = top + 14
        page(pen, x, top, width, shown, known.get(shown.page), parent)
        top += _page_height(shown, parent)
    return height


def filed(pen: Pen, x: float, y: float, now: VmaState, before: VmaState | None) -> None:
    """The number of a VMA's first page, and where its pages are filed."""
    changed = before is not None and before.pgoff != now.pgoff
    used = pen.field(x, y, f"vm_pgoff {now.pgoff}", changed, "m q", protection("Vma.vm_pgoff"))
    changed = before is not None and before.filing != now.filing
    wrong = "not linked" in now.filing
    about = protection("Vma.anon_vma", "Vma.anon_vma_chain")
    pen.field(x + used + 14, y, now.filing, changed, "m w" if wrong else "m q", about)


def freed_vma(pen: Pen, x: float, y: float, width: float, now: VmaState) -> None:
    """A VMA that has been freed, and the CPUs that are about to use it all the same."""
    height = GONE - 6
    pen.box(x, y, width, height, "bad", radius=5)
    pen.hatch(x, y, width, height, 9)
    pen.box(x + 5, y + 5, width - 10, height - 10, "paper", radius=3)
    left = x + 12 + pen.field(x + 12, y + 23, f"VMA {now.name}", False, "m b q") + 10
    pen.warning(left, y + 23, "FREED")
    left += 60
    for cpu in now.users:
        left += pen.cpu_chip(left, y + 23, f"cpu{cpu} uses it next", cpu) + 4


def page(
    pen: Pen,
    x: float,
    y: float,
    width: float,
    now: PteState,
    before: PteState | None,
    parent: bool,
) -> None:
    """A page-table entry, its lock, and what is in the page as the program sees it."""
    pen.path(f"M{number(x)} {number(y)}h{number(width)}", "line dim")
    changed = before is not None and before.pte != now.pte
    pen.field(x + 8, y + 18, str(now), changed, "m b", protection("PageTable.pte"))
    if not now.ptl.free:
        if 8 + len(str(now)) * MONO < width - 126:
            pen.text(x + width - 122, y + 18, "locked by", "q s")
        pen.cpu_chip(x + width - 64, y + 18, str(now.ptl), now.ptl.writer or 0)
    reads = " ".join(map(str, now.reads))
    if not parent:
        told = f"the child would read {reads}" if now.pte else "not shared yet"
        pen.text(x + 8, y + 34, told, "q s")
        return
    stored = " ".join(map(str, now.stored))
    changed = before is not None and before.stored != now.stored
    used = pen.field(x + 8, y + 34, f"program expects {stored}" if stored else "", changed, "m s q")
    if now.stored and now.stored != now.reads:
        pen.warning(x + 8 + used + 8, y + 34, f"memory says {reads}")
