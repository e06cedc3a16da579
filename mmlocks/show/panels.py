"""The parts of the picture. Each function draws one at a place, in a width, and returns what was used of the height."""

from __future__ import annotations

from functools import cache
from html import escape

from mmlocks.machine import Run
from mmlocks.oracles.fields import FIELDS
from mmlocks.show.draw import (
    BOLD,
    LINE,
    MONO,
    SANS,
    Pen,
    cpu_colour,
    cpu_ink,
    fit,
    number,
    sans_width,
)
from mmlocks.show.listing import line_at
from mmlocks.show.scene import Area, Backing, Cpu, Entry, Held, Node, Page, Space, Tree

PAD = 10
CARD = 184
"""Height of a CPU's card without the rows of its TLB."""
AREA = 62
"""Height of a VMA without its pages."""
FILING = 18
"""Height of what says where pages are filed: a line of a VMA, and of a frame."""
GONE = 44
"""Height of a VMA that has been freed."""
PAGE = 40
UNTOLD = 28
"""Height of a page of which nobody knows what was stored there."""
FRAME = 62
FILE = 62
"""Height of a file, and the gap below it."""
NODE = 72
"""Height of a node of the tree whose ranges fit into one row, and the gap below it."""
RANGES = 38
"""Height of a row of ranges."""
SPACE = 54
"""Height of an address space's head."""


# -- the schedule -----------------------------------------------------------------------------------------------------


def strip_height(run: Run) -> float:
    """Height of the schedule's strip."""
    return len(run.machine.cpus) * 17.0 + 16


def strip(pen: Pen, x: float, y: float, width: float, run: Run, at: int) -> None:
    """Who took each step: a lane per CPU, a box per step, a frame around the current one."""
    cpus, steps = len(run.machine.cpus), max(len(run), 1)
    left = x + 44
    cell = min(26.0, (width - 44) / steps)
    for cpu in run.machine.cpus:
        pen.text(x, y + cpu * 17 + 12, f"cpu{cpu}", "m")
        pen.path(f"M{number(left)} {number(y + cpu * 17 + 8)}H{number(x + width)}", "line dim")
    for index, cpu in enumerate(run.cpus):
        place, lane = left + index * cell, y + cpu * 17
        later = index >= at
        bad = run.taken[index].violation is not None
        pen.parts.append('<g class="dim">' if later else "<g>")
        pen.box(place + 0.75, lane, cell - 1.5, 15, fill=cpu_colour(cpu), radius=2)
        if cell >= 16:
            pen.text(place + cell / 2, lane + 11.5, str(index + 1), "m s", "middle", cpu_ink(cpu))
        pen.parts.append("</g>")
        if bad:
            pen.box(place - 0.5, lane - 1.5, cell + 1, 18, "bad", radius=2)
            pen.text(place + cell / 2, y + cpus * 17 + 12, "✗", "w", "middle")
    if at and len(run):
        pen.box(left + (at - 1) * cell - 1, y - 3, cell + 2, cpus * 17 + 4, "now", radius=3)
        bad_near = run.taken[-1].violation is not None and (len(run) - at) * cell < 26
        if not bad_near:
            pen.text(
                min(left + (at - 0.5) * cell, x + width - 13),
                y + cpus * 17 + 13,
                "now",
                "s b",
                "middle",
            )
    elif not len(run):
        pen.text(left, y + cpus * 17 + 12, "no steps yet", "q s")


# -- a CPU ------------------------------------------------------------------------------------------------------------


def card_height(rows: int, wide: bool) -> float:
    """Height of a CPU's card whose TLB can have so many rows."""
    return CARD + max(rows, 1) * 18.0 - (0 if wide else 34)


def card(
    pen: Pen,
    x: float,
    y: float,
    width: float,
    height: float,
    cpu: Cpu,
    before: Cpu | None,
    wide: bool,
) -> None:
    """A CPU: its task, what it is doing or waiting for, what it holds, and its TLB."""
    room = width - 2 * PAD
    pen.box(x, y, width, height, "card", radius=6)
    moved = (
        before is not None
        and before != cpu
        and (before.where != cpu.where or before.status != cpu.status)
    )
    colour, ink = cpu_colour(cpu.number), cpu_ink(cpu.number)
    pen.box(x, y, width, 25, fill=colour, radius=6)
    pen.box(x, y + 12, width, 13, fill=colour, radius=0)
    pen.text(x + PAD, y + 17, f"cpu{cpu.number}", "b", colour=ink)
    pen.text(x + PAD + 42, y + 17, fit(cpu.task, room - 42, 1, SANS)[0], colour=ink)
    status(pen, x + PAD, y + 43, cpu)
    line = y + 61
    if cpu.status == "blocked":
        for part in fit(cpu.why.removeprefix(f"cpu{cpu.number} "), room, 3, SANS * 1.13, True):
            pen.text(x + PAD, line, part, "w")
            line += LINE
    elif cpu.status != "done" and cpu.where:
        chain = " → ".join(place.function for place in cpu.where[1:]) or cpu.where[-1].function
        lines = 2 if wide else 1
        for part in tail(chain, room, lines):
            pen.text(x + PAD, line, part, "m s q")
            line += LINE - 1
        line = y + 62 + lines * 15
        lead = "at" if cpu.status == "stopped" else "next"
        for part in fit(f"{lead}: {line_at(cpu.where[-1])}", room, 2):
            pen.text(x + PAD, line, part, "m b" if moved else "m")
            line += LINE
    held(pen, x + PAD, y + (130 if wide else 112), room, cpu, before)
    tlb(pen, x, y + (172 if wide else 138), width, cpu, before)


def status(pen: Pen, x: float, y: float, cpu: Cpu) -> None:
    """Whether a CPU can go on, as a word with a sign."""
    sign, word = {
        "ready": ("▶", "can run"),
        "blocked": ("■", "blocked"),
        "done": ("✓", "done"),
        "stopped": ("✗", "stopped: a rule is broken"),
    }[cpu.status]
    pen.text(x, y, sign, "w" if cpu.status in ("blocked", "stopped") else "b")
    pen.text(x + 18, y, word, "w" if cpu.status == "blocked" else "b")
    if cpu.status == "ready" and cpu.in_rcu:
        pen.text(x + 78, y, "in an RCU read section", "q s")


def held(pen: Pen, x: float, y: float, room: float, cpu: Cpu, before: Cpu | None) -> None:
    """The locks that a CPU holds."""
    pen.text(x, y, "holds", "q s")
    if not cpu.holds:
        pen.text(x + 38, y, "no lock", "q s")
    place, line = x + 38, y
    for lock in cpu.holds:
        if place + len(lock) * MONO > x + room and place > x + 38:
            place, line = x + 38, line + 18
        place += pen.field(place, line, lock, before is not None and lock not in before.holds) + 14


def tlb(pen: Pen, x: float, y: float, width: float, cpu: Cpu, before: Cpu | None) -> None:
    """A CPU's cached translations, with those marked that the page table would not give any more."""
    pen.path(f"M{number(x)} {number(y - 8)}h{number(width)}", "line dim")
    pen.text(x + PAD, y + 9, "TLB", "q s")
    known = {cached.page: cached for cached in before.tlb} if before is not None else {}
    for row, cached in enumerate(cpu.tlb):
        line = y + 9 + row * 18
        changed = before is not None and known.get(cached.page) != cached
        used = pen.field(x + PAD + 38, line, f"P{cached.page} → {cached.entry}", changed)
        if cached.stale:
            pen.warning(x + PAD + 38 + used + 10, line, "STALE")
    if not cpu.tlb:
        pen.field(x + PAD + 38, y + 9, "empty", bool(known), "m s q")


def tail(chain: str, room: float, lines: int) -> list[str]:
    """The end of a chain of calls, as much as fits: where a CPU is matters more than how it came there."""
    links = chain.split(" → ")
    for start in range(len(links)):
        text = " → ".join((["…"] if start else []) + links[start:])
        broken = fit(text, room, 99, MONO * 11 / 12)
        if len(broken) <= lines:
            return broken
    return fit(links[-1], room, lines, MONO * 11 / 12)


# -- an address space -------------------------------------------------------------------------------------------------


def space_height(areas: int, pages: int, filing: bool = False, referee: bool = True) -> float:
    """Height of an address space of so many VMAs and pages in all."""
    return (
        SPACE
        + areas * (AREA + 10.0 + (FILING if filing else 0))
        + pages * (PAGE if referee else UNTOLD)
    )


def _page(shown: Entry, parent: bool) -> int:
    return PAGE if shown.stored or not parent else UNTOLD


@cache
def said(*fields: str) -> str:
    """What protects fields, from the table of fields: for whoever points at them."""
    texts: dict[str, list[str]] = {}
    for field in fields:
        texts.setdefault(FIELDS[field].protected_by, []).append(field.rpartition(".")[2])
    return "; ".join(f"{', '.join(names)}: {text}" for text, names in texts.items())


def space(
    pen: Pen,
    x: float,
    y: float,
    width: float,
    height: float,
    title: str,
    now: Space,
    before: Space | None,
    parent: bool,
) -> dict[int, float]:
    """An address space: its lock, its VMAs, their pages. Returns the y of every page's entry, for arrows."""
    pen.box(x, y, width, height, "card", radius=6)
    taken = 0 if now.page_table_lock.free else len("page_table_lock ") * MONO + 46
    if sans_width(title) * BOLD + taken > width - PAD:  # who holds the lock is worth more
        title = title.partition(" (")[0]
    pen.text(x + PAD, y + 18, title, "b")
    if not now.areas and not now.loose:
        empty = "no VMA yet: fork has not copied any" if not parent else "no VMA"
        pen.text(x + PAD, y + (66 if parent else 42), empty, "q")
    if not parent and not now.areas and not now.loose:
        return {}
    seq = f"mm_lock_seq {now.seq}"
    lock(
        pen,
        x + PAD,
        y + 40,
        "mmap_lock",
        now.lock,
        before.lock if before else None,
        width - 2 * PAD - len(seq) * MONO,
    )
    pen.field(
        x + width - PAD - len(seq) * MONO, y + 40, seq, before is not None and before.seq != now.seq, "m q",
        said("Mm.mm_lock_seq"),
    )  # fmt: skip
    if not now.page_table_lock.free:
        used = len("page_table_lock ") * MONO
        pen.text(x + width - PAD - used - 36, y + 18, "page_table_lock", "m s q")
        pen.chip(
            x + width - PAD - 38,
            y + 18,
            str(now.page_table_lock),
            *_cpu(now.page_table_lock.writer),
        )
    rows: dict[int, float] = {}
    known = {area.name: area for area in before.areas} if before else {}
    top = y + SPACE
    for shown in now.areas:
        was = known.get(shown.name)
        used = area(
            pen, x + 6, top, width - 12, shown, was, before is not None, now.seq, parent, rows
        )
        top += used + 10
    for loose in now.loose:
        entry(pen, x + 6, top, width - 12, loose, None, False, parent)
        rows[loose.page] = top + 14
        top += _page(loose, parent)
    return rows


def area(
    pen: Pen, x: float, y: float, width: float, now: Area, before: Area | None, compare: bool, mm_seq: int, parent: bool,
    rows: dict[int, float],
) -> float:  # fmt: skip
    """A VMA with its lock drawn on it, and its pages inside."""
    if now.fate == "freed":
        gone(pen, x, y, width, now)
        return GONE
    head = AREA + (FILING if now.filing else 0)
    height = head + sum(_page(shown, parent) for shown in now.pages)
    pen.box(x, y, width, height, "area", radius=5)
    fresh = compare and (before is None or (before.start, before.end) != (now.start, now.end))
    name = f"VMA {now.name} [{now.start:#x}, {now.end:#x})"
    used = pen.field(x + 8, y + 17, name, fresh, "m b", said("Vma.vm_start", "Vma.vm_end"))
    if now.fate:
        told = compare and before is not None and before.fate != now.fate
        room = 8 + used + 10 + len(now.fate) * MONO < width
        place, line = (
            (x + 8 + used + 10, y + 17) if room else (x + width - 8 - len(now.fate) * MONO, y + 36)
        )
        pen.remark(place, line, now.fate, told)
    if now.awaited:
        waits = f"RCU keeps it for {names(now.awaited)}"
        pen.text(x + width - 8, y + 54, waits, "q s", "end")
    if now.filing:
        filed(pen, x + 8, y + 72, now, before)
    lock(pen, x + 8, y + 36, "vm_lock", now.lock, before.lock if before else None)
    relation = "=" if now.write_locked else "≠"
    text = f"vm_lock_seq {now.seq} {relation} {mm_seq}"
    changed = before is not None and (before.seq, before.write_locked) != (
        now.seq,
        now.write_locked,
    )
    used = pen.field(x + 8, y + 54, text, changed, "m q", said("Vma.vm_lock_seq"))
    if now.write_locked:
        pen.chip(x + 8 + used + 8, y + 54, "WRITE-LOCKED", "#0072B2", "#fff")
    elif not now.awaited:
        pen.text(x + 8 + used + 8, y + 54, "not write-locked", "q s")
    known = {entry.page: entry for entry in before.pages} if before else {}
    top = y + head
    for shown in now.pages:
        entry(pen, x, top, width, shown, known.get(shown.page), before is not None, parent)
        rows[shown.page] = top + 14
        top += _page(shown, parent)
    return height


def filed(pen: Pen, x: float, y: float, now: Area, before: Area | None) -> None:
    """The number of a VMA's first page, and where its pages are filed."""
    changed = before is not None and before.pgoff != now.pgoff
    used = pen.field(x, y, f"vm_pgoff {now.pgoff}", changed, "m q", said("Vma.vm_pgoff"))
    changed = before is not None and before.filing != now.filing
    wrong = "not linked" in now.filing
    about = said("Vma.anon_vma", "Vma.anon_vma_chain")
    pen.field(x + used + 14, y, now.filing, changed, "m w" if wrong else "m q", about)


def gone(pen: Pen, x: float, y: float, width: float, now: Area) -> None:
    """A VMA that has been freed, and who is about to use it all the same."""
    height = GONE - 6
    pen.box(x, y, width, height, "bad", radius=5)
    pen.hatch(x, y, width, height, 9)
    pen.box(x + 5, y + 5, width - 10, height - 10, "paper", radius=3)
    place = x + 12 + pen.field(x + 12, y + 23, f"VMA {now.name}", False, "m b q") + 10
    pen.warning(place, y + 23, "FREED")
    place += 60
    for cpu in now.users:
        place += pen.chip(place, y + 23, f"cpu{cpu} uses it next", *_cpu(cpu)) + 4


def names(cpus: tuple[int, ...]) -> str:
    """`cpu0 and cpu1`."""
    return " and ".join(f"cpu{cpu}" for cpu in cpus)


# -- the tree ---------------------------------------------------------------------------------------------------------


def tree_height(nodes: int) -> float:
    """Height of a tree of so many nodes, dead ones included."""
    return SPACE + nodes * NODE


def tree(
    pen: Pen, x: float, y: float, width: float, height: float, now: Tree, before: Tree | None
) -> None:
    """The tree of VMAs: where it begins, and each node that there is or was, with its ranges."""
    pen.box(x, y, width, height, "card", radius=6)
    pen.text(x + PAD, y + 18, "Tree of VMAs", "b")
    about = said("MapleTree.ma_root")
    pen.field(
        x + PAD,
        y + 40,
        f"ma_root → {now.root}",
        before is not None and before.root != now.root,
        "m",
        about,
    )
    known = {shown.name: shown for shown in before.nodes} if before is not None else {}
    top = y + SPACE
    for shown in now.nodes:
        top += node(pen, x + 6, top, width - 12, shown, known.get(shown.name), before is not None)


def node(
    pen: Pen, x: float, y: float, width: float, now: Node, before: Node | None, compare: bool
) -> float:
    """A node: what has become of it, who is about to use it, and its ranges between their boundaries; returns the height used."""
    rows = _rows(now, width - 16)
    height = NODE - 10 + (len(rows) - 1) * RANGES if now.ranges or now.users else 26
    pen.box(x, y, width, height, "bad" if now.state == "freed" else "area", radius=5)
    place = x + 8
    place += pen.field(place, y + 17, now.name, compare and before is None, "m b") + 10
    changed = compare and before is not None and before.state != now.state
    words = ""
    if now.state in ("dead", "freed"):
        place += pen.warning(place, y + 17, now.state.upper()) + 6
        if now.awaited:
            words = f"freed when {names(now.awaited)} leaves RCU"
            pen.text(place, y + 17, words, "q s")
    else:
        words = {"root": "the root", "inner": "in the tree"}.get(now.state, now.state)
        pen.remark(place, y + 17, words, changed)
    end = x + width - 8
    long = len(now.users) * (len("cpu0 uses it next") * MONO * 11 / 12 + 14)
    does = "uses it next" if place + (len(words) + 1) * MONO + long < end else "next"
    for cpu in reversed(now.users):
        text = f"cpu{cpu} {does}"
        end -= len(text) * MONO * 11 / 12 + 10
        pen.chip(end, y + 17, text, *_cpu(cpu))
        end -= 4
    known = set(before.ranges) if before is not None else set()
    for index, row in enumerate(rows):
        ranges(
            pen,
            x + 8,
            y + 26 + index * RANGES,
            row,
            known if compare and before is not None else None,
            now.state,
        )
    if now.users and not now.ranges:
        pen.hatch(x + 8, y + 28, width - 16, 24, 9)
    return height + 10


Placed = tuple[str, int | None, float]
"""A range: what it leads to, its end, and the width of its box."""


def _rows(now: Node, width: float) -> list[list[Placed]]:
    """The ranges, each in a box that has room for its name and for the boundary at its end, in as many rows as it takes."""
    rows: list[list[Placed]] = [[]]
    for index, (what, end) in enumerate(now.ranges):
        boundary = 0 if end is None else len(f"{end:#x}") * MONO * 11 / 12 + 3
        outer = index in (0, len(now.ranges) - 1)
        box = max(len(what) * MONO * 11 / 12 + 9, boundary * (0.5 if outer else 1))
        if rows[-1] and sum(size for *_, size in rows[-1]) + max(box, boundary) > width:
            rows.append([])
        rows[-1].append((what, end, max(box, boundary) if not rows[-1] and index else box))
    wider = min(1.25, width / max(sum(size for *_, size in rows[0]), 1)) if len(rows) == 1 else 1
    return [[(what, end, size * wider) for what, end, size in row] for row in rows]


def ranges(
    pen: Pen,
    x: float,
    y: float,
    row: list[Placed],
    known: set[tuple[str, int | None]] | None,
    state: str,
) -> None:
    """A row of ranges; those that were not there before are marked."""
    about = said("MapleNode.ranges")
    pen.parts.append(f"<g><title>{escape(about)}</title>")
    for what, end, size in row:
        changed = known is not None and (what, end) not in known
        pen.box(x, y, size, 19, "hot" if changed else "free" if what == "gap" else "card", radius=0)
        kind = "m s k" if changed else "m s q" if what == "gap" else "m s b"
        pen.text(x + size / 2, y + 13.5, what, kind, "middle")
        x += size
        if end is not None:
            pen.text(x, y + 31, f"{end:#x}", "m s q", "middle")
    if state == "dead":
        total = sum(size for *_, size in row)
        pen.hatch(x - total, y, total, 19, 9)
    pen.parts.append("</g>")


def entry(
    pen: Pen,
    x: float,
    y: float,
    width: float,
    now: Entry,
    before: Entry | None,
    compare: bool,
    parent: bool,
) -> None:
    """A page-table entry, its lock, and what is in the page as the program sees it."""
    pen.path(f"M{number(x)} {number(y)}h{number(width)}", "line dim")
    text = f"P{now.page} → {now.pte or 'nothing'}"
    changed = compare and before is not None and before.pte != now.pte
    pen.field(x + 8, y + 18, text, changed, "m b", said("PageTable.pte"))
    if not now.ptl.free:
        if 8 + len(text) * MONO < width - 126:
            pen.text(x + width - 122, y + 18, "locked by", "q s")
        pen.chip(x + width - 64, y + 18, str(now.ptl), *_cpu(now.ptl.writer))
    reads = " ".join(map(str, now.reads))
    if not parent:
        pen.text(
            x + 8, y + 34, f"the child would read {reads}" if now.pte else "not shared yet", "q s"
        )
        return
    stored = " ".join(map(str, now.stored))
    changed = compare and before is not None and before.stored != now.stored
    used = pen.field(x + 8, y + 34, f"program expects {stored}" if stored else "", changed, "m s q")
    if now.stored and now.stored != now.reads:
        pen.warning(x + 8 + used + 8, y + 34, f"memory says {reads}")


def lock(
    pen: Pen, x: float, y: float, name: str, now: Held, before: Held | None, room: float = 1000.0
) -> None:
    """A lock's name and who has it."""
    changed = before is not None and before != now
    place = x + pen.field(x, y, name, changed) + 8
    if now.free:
        pen.text(place, y, "free", "q s")
    held_chips(pen, place, y, now, x + room - place)


def held_chips(pen: Pen, x: float, y: float, now: Held, room: float = 1000.0) -> float:
    """A label for every CPU that has a lock, a short one if there is little room; returns where they end."""
    if now.writer is not None:
        text = f"cpu{now.writer}" if now.spinning else f"cpu{now.writer} write"
        x += pen.chip(x, y, text, *_cpu(now.writer)) + 4
    short = len(now.readers) * (len("cpu0 read") * MONO * 11 / 12 + 14) > room
    for reader in now.readers:
        x += pen.chip(x, y, f"cpu{reader}" if short else f"cpu{reader} read", *_cpu(reader)) + 4
    if short and now.readers:
        pen.text(x, y, "read", "q s")
    return x


def _cpu(cpu: int | None) -> tuple[str, str]:
    return cpu_colour(cpu or 0), cpu_ink(cpu or 0)


# -- physical memory --------------------------------------------------------------------------------------------------


def frame(
    pen: Pen, x: float, y: float, width: float, now: Page, before: Page | None, filing: bool = False
) -> None:
    """A frame: its count, its words, where it is filed, and who reaches it behind the page table's back."""
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
        words = "its file system was told" if now.told else "its file system was not told"
        pen.remark(x + 8, y + 63, words, before is not None and before.told != now.told)
    pen.field(x + 8, y + 18, now.name, before is not None and not before.count, "m b")
    count = f"count {now.count}"
    pen.field(
        x + width - 8 - len(count) * MONO,
        y + 18,
        count,
        before is not None and before.count != now.count,
    )
    place = x + 8
    for index, value in enumerate(now.words):
        text = str(value)
        size = max(22.0, len(text) * MONO + 10)
        changed = before is not None and before.words[index] != value
        pen.box(place, y + 26, size, 20, "hot" if changed else "card", radius=2)
        pen.text(place + size / 2, y + 40, text, "m k" if changed else "m", "middle")
        place += size + 3
    stale = [user.split("'")[0] for user in now.users if "stale" in user]
    if stale:
        text = f"{', '.join(stale)} STALE"
        pen.warning(x + width - 18 - len(text) * MONO * 11 / 12, y + 40, text)


def backing(
    pen: Pen, x: float, y: float, width: float, now: Backing, before: Backing | None
) -> None:
    """A file: its lock, and the VMAs in which its pages are looked for."""
    pen.box(x, y, width, FILE - 8, "card", radius=4)
    pen.text(x + 8, y + 15, f"file {now.name}", "b")
    mapped = f"i_mmap: {', '.join(now.mapped) or 'no VMA'}"
    lock(pen, x + 8, y + 32, "i_mmap_rwsem", now.lock, before.lock if before is not None else None)
    changed = before is not None and before.mapped != now.mapped
    pen.remark(x + 8, y + 48, mapped, changed, said("File.i_mmap"))
