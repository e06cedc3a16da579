"""The parts of the picture. Each function draws one at a place, in a width, and returns what was used of the height."""

from __future__ import annotations

from mmlocks.machine import Run
from mmlocks.show.draw import LINE, MONO, SANS, Pen, cpu_colour, cpu_ink, fit, number
from mmlocks.show.scene import Area, Cpu, Entry, Held, Page, Space
from mmlocks.show.source import line_at

PAD = 10
CARD = 184
"""Height of a CPU's card without the rows of its TLB."""
AREA = 62
"""Height of a VMA without its pages."""
PAGE = 40
FRAME = 62
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
        bad_next = at < len(run) and run.taken[at].violation is not None and cell < 26
        if not run.taken[at - 1].violation and not bad_next:
            pen.text(left + (at - 0.5) * cell, y + cpus * 17 + 13, "now", "s b", "middle")
    elif not len(run):
        pen.text(left, y + cpus * 17 + 12, "no steps yet", "q s")


# -- a CPU ------------------------------------------------------------------------------------------------------------


def card_height(rows: int, wide: bool) -> float:
    """Height of a CPU's card whose TLB can have so many rows."""
    return CARD + max(rows, 1) * 18.0 - (0 if wide else 34)


def card(
    pen: Pen, x: float, y: float, width: float, height: float, cpu: Cpu, before: Cpu | None, wide: bool
) -> None:
    """A CPU: its task, what it is doing or waiting for, what it holds, and its TLB."""
    room = width - 2 * PAD
    pen.box(x, y, width, height, "card", radius=6)
    moved = (
        before is not None and before != cpu and (before.where != cpu.where or before.status != cpu.status)
    )
    colour, ink = cpu_colour(cpu.number), cpu_ink(cpu.number)
    pen.box(x, y, width, 25, fill=colour, radius=6)
    pen.box(x, y + 12, width, 13, fill=colour, radius=0)
    pen.text(x + PAD, y + 17, f"cpu{cpu.number}", "b", colour=ink)
    pen.text(x + PAD + 42, y + 17, fit(cpu.task, room - 42, 1, SANS)[0], colour=ink)
    status(pen, x + PAD, y + 43, cpu)
    line = y + 61
    if cpu.status == "blocked":
        for part in fit(cpu.why.removeprefix(f"cpu{cpu.number} "), room, 3, SANS * 1.13):
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


def space_height(areas: int, pages: int) -> float:
    """Height of an address space of so many VMAs and pages in all."""
    return SPACE + areas * (AREA + 10.0) + pages * PAGE


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
    pen.text(x + PAD, y + 18, title, "b")
    if not now.areas and not now.loose:
        empty = "no VMA yet: fork has not copied any" if not parent else "no VMA"
        pen.text(x + PAD, y + 42, empty, "q")
        return {}
    lock(pen, x + PAD, y + 40, "mmap_lock", now.lock, before.lock if before else None)
    seq = f"mm_lock_seq {now.seq}"
    pen.field(
        x + width - PAD - len(seq) * MONO, y + 40, seq, before is not None and before.seq != now.seq, "m q"
    )
    if not now.page_table_lock.free:
        used = len("page_table_lock ") * MONO
        pen.text(x + width - PAD - used - 36, y + 18, "page_table_lock", "m s q")
        pen.chip(x + width - PAD - 38, y + 18, str(now.page_table_lock), *_cpu(now.page_table_lock.writer))
    rows: dict[int, float] = {}
    known = {area.name: area for area in before.areas} if before else {}
    top = y + SPACE
    for shown in now.areas:
        was = known.get(shown.name)
        used = area(pen, x + 6, top, width - 12, shown, was, before is not None, now.seq, parent, rows)
        top += used + 10
    for loose in now.loose:
        entry(pen, x + 6, top, width - 12, loose, None, False, parent)
        rows[loose.page] = top + 14
        top += PAGE
    return rows


def area(
    pen: Pen, x: float, y: float, width: float, now: Area, before: Area | None, compare: bool, mm_seq: int, parent: bool,
    rows: dict[int, float],
) -> float:  # fmt: skip
    """A VMA with its lock drawn on it, and its pages inside."""
    height = AREA + len(now.pages) * PAGE
    pen.box(x, y, width, height, "area", radius=5)
    fresh = compare and before is None
    name = f"VMA {now.name} [{now.start:#x}, {now.end:#x})"
    pen.field(x + 8, y + 17, name, fresh, "m b")
    lock(pen, x + 8, y + 36, "vm_lock", now.lock, before.lock if before else None)
    relation = "=" if now.write_locked else "≠"
    text = f"vm_lock_seq {now.seq} {relation} {mm_seq}"
    changed = before is not None and (before.seq, before.write_locked) != (now.seq, now.write_locked)
    used = pen.field(x + 8, y + 54, text, changed, "m q")
    if now.write_locked:
        pen.chip(x + 8 + used + 8, y + 54, "WRITE-LOCKED", "#0072B2", "#fff")
    else:
        pen.text(x + 8 + used + 8, y + 54, "not write-locked", "q s")
    known = {entry.page: entry for entry in before.pages} if before else {}
    for index, shown in enumerate(now.pages):
        top = y + AREA + index * PAGE
        entry(pen, x, top, width, shown, known.get(shown.page), before is not None, parent)
        rows[shown.page] = top + 14
    return height


def entry(
    pen: Pen, x: float, y: float, width: float, now: Entry, before: Entry | None, compare: bool, parent: bool
) -> None:
    """A page-table entry, its lock, and what is in the page as the program sees it."""
    pen.path(f"M{number(x)} {number(y)}h{number(width)}", "line dim")
    text = f"P{now.page} → {now.pte or 'nothing'}"
    pen.field(x + 8, y + 18, text, compare and before is not None and before.pte != now.pte, "m b")
    if not now.ptl.free:
        pen.text(x + width - 122, y + 18, "locked by", "q s")
        pen.chip(x + width - 64, y + 18, str(now.ptl), *_cpu(now.ptl.writer))
    reads = " ".join(map(str, now.reads))
    if not parent:
        pen.text(x + 8, y + 34, f"the child would read {reads}" if now.pte else "not shared yet", "q s")
        return
    stored = " ".join(map(str, now.stored))
    changed = compare and before is not None and before.stored != now.stored
    used = pen.field(x + 8, y + 34, f"program expects {stored}" if stored else "", changed, "m s q")
    if now.stored and now.stored != now.reads:
        pen.warning(x + 8 + used + 8, y + 34, f"memory says {reads}")


def lock(pen: Pen, x: float, y: float, name: str, now: Held, before: Held | None) -> None:
    """A lock's name and who has it."""
    changed = before is not None and before != now
    place = x + pen.field(x, y, name, changed) + 8
    if now.free:
        pen.text(place, y, "free", "q s")
    held_chips(pen, place, y, now)


def held_chips(pen: Pen, x: float, y: float, now: Held) -> float:
    """A label for every CPU that has a lock; returns where they end."""
    if now.writer is not None:
        text = f"cpu{now.writer}" if now.spinning else f"cpu{now.writer} write"
        x += pen.chip(x, y, text, *_cpu(now.writer)) + 4
    for reader in now.readers:
        x += pen.chip(x, y, f"cpu{reader} read", *_cpu(reader)) + 4
    return x


def _cpu(cpu: int | None) -> tuple[str, str]:
    return cpu_colour(cpu or 0), cpu_ink(cpu or 0)


# -- physical memory --------------------------------------------------------------------------------------------------


def frame(pen: Pen, x: float, y: float, width: float, now: Page, before: Page | None) -> None:
    """A frame: its count, its words, and who reaches it behind the page table's back."""
    if not now.count:
        pen.box(x, y, width, FRAME - 8, "free", radius=4)
        pen.text(x + 8, y + 18, now.name, "m b q")
        freed = before is not None and before.count > 0
        pen.field(x + 36, y + 18, "freed" if freed else "free", freed, "m s q")
        if now.allocated_by is not None:
            pen.text(x + 8, y + 36, f"for cpu{now.allocated_by} to allocate", "q s")
        return
    pen.box(x, y, width, FRAME - 8, "area", radius=4)
    pen.field(x + 8, y + 18, now.name, before is not None and not before.count, "m b")
    count = f"count {now.count}"
    pen.field(
        x + width - 8 - len(count) * MONO, y + 18, count, before is not None and before.count != now.count
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
