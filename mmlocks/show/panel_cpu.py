"""The schedule as a strip, and a card for each CPU. Each function draws one part at a place."""

from __future__ import annotations

from mmlocks.machine import Run
from mmlocks.show.draw import LINE, MONO, SANS, SMALL, Pen, cpu_colour, cpu_ink, fit, number
from mmlocks.show.listing import line_at
from mmlocks.show.panel_lock import PAD
from mmlocks.show.scene_parts import CpuState

CARD = 184
"""Height of a CPU's card without the rows of its TLB."""


def strip_height(run: Run) -> float:
    """Height of the strip."""
    return len(run.machine.cpus) * 17.0 + 16


def strip(pen: Pen, x: float, y: float, width: float, run: Run, at: int) -> None:
    """Which CPU took each step: a lane per CPU, a box per step, a frame around the current one."""
    cpus, steps = len(run.machine.cpus), max(len(run), 1)
    left = x + 44
    cell = min(26.0, (width - 44) / steps)
    for cpu in run.machine.cpus:
        pen.text(x, y + cpu * 17 + 12, f"cpu{cpu}", "m")
        pen.path(f"M{number(left)} {number(y + cpu * 17 + 8)}H{number(x + width)}", "line dim")
    for index, cpu in enumerate(run.cpus):
        step, lane = left + index * cell, y + cpu * 17
        later = index >= at
        bad = run.taken[index].violation is not None
        pen.parts.append('<g class="dim">' if later else "<g>")
        pen.box(step + 0.75, lane, cell - 1.5, 15, fill=cpu_colour(cpu), radius=2)
        if cell >= 16:
            pen.text(step + cell / 2, lane + 11.5, str(index + 1), "m s", "middle", cpu_ink(cpu))
        pen.parts.append("</g>")
        if bad:
            pen.box(step - 0.5, lane - 1.5, cell + 1, 18, "bad", radius=2)
            pen.text(step + cell / 2, y + cpus * 17 + 12, "✗", "w", "middle")
    if at and len(run):
        pen.box(left + (at - 1) * cell - 1, y - 3, cell + 2, cpus * 17 + 4, "now", radius=3)
        bad_near = run.taken[-1].violation is not None and (len(run) - at) * cell < 26
        if not bad_near:
            middle = min(left + (at - 0.5) * cell, x + width - 13)
            pen.text(middle, y + cpus * 17 + 13, "now", "s b", "middle")
    elif not len(run):
        pen.text(left, y + cpus * 17 + 12, "no steps yet", "q s")


def card_height(rows: int, wide: bool) -> float:
    """Height of a CPU's card whose TLB can have `rows` rows."""
    return CARD + max(rows, 1) * 18.0 - (0 if wide else 34)


def card(
    pen: Pen,
    x: float,
    y: float,
    width: float,
    height: float,
    cpu: CpuState,
    before: CpuState | None,
    wide: bool,
) -> None:
    """A CPU: its task, what it is doing or waiting for, what it holds, and its TLB."""
    room = width - 2 * PAD
    pen.box(x, y, width, height, "card", radius=6)
    moved = before is not None and (before.where, before.status) != (cpu.where, cpu.status)
    colour, ink = cpu_colour(cpu.number), cpu_ink(cpu.number)
    pen.box(x, y, width, 25, fill=colour, radius=6)
    pen.box(x, y + 12, width, 13, fill=colour, radius=0)
    pen.text(x + PAD, y + 17, f"cpu{cpu.number}", "b", colour=ink)
    pen.text(x + PAD + 42, y + 17, fit(cpu.task, room - 42, 1, SANS)[0], colour=ink)
    status(pen, x + PAD, y + 43, cpu)
    line = y + 61
    if cpu.status == "blocked":
        why = cpu.why.removeprefix(f"cpu{cpu.number} ")
        pen.lines(x + PAD, line, fit(why, room, 3, SANS * 1.13, True), "w")
    elif cpu.status != "done" and cpu.where:
        chain = " → ".join(place.function for place in cpu.where[1:]) or cpu.where[-1].function
        lines = 2 if wide else 1
        pen.lines(x + PAD, line, call_chain(chain, room, lines), "m s q", LINE - 1)
        lead = "at" if cpu.status == "stopped" else "next"
        code = fit(f"{lead}: {line_at(cpu.where[-1])}", room, 2)
        pen.lines(x + PAD, y + 62 + lines * 15, code, "m b" if moved else "m")
    held_locks(pen, x + PAD, y + (130 if wide else 112), room, cpu, before)
    tlb(pen, x, y + (172 if wide else 138), width, cpu, before)


def status(pen: Pen, x: float, y: float, cpu: CpuState) -> None:
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


def held_locks(
    pen: Pen, x: float, y: float, room: float, cpu: CpuState, before: CpuState | None
) -> None:
    """The locks that a CPU holds."""
    pen.text(x, y, "holds", "q s")
    if not cpu.holds:
        pen.text(x + 38, y, "no lock", "q s")
    left, line = x + 38, y
    for lock in cpu.holds:
        if left + len(lock) * MONO > x + room and left > x + 38:
            left, line = x + 38, line + 18
        left += pen.field(left, line, lock, before is not None and lock not in before.holds) + 14


def tlb(pen: Pen, x: float, y: float, width: float, cpu: CpuState, before: CpuState | None) -> None:
    """A CPU's cached translations; marked are those that the page table no longer gives."""
    pen.path(f"M{number(x)} {number(y - 8)}h{number(width)}", "line dim")
    pen.text(x + PAD, y + 9, "TLB", "q s")
    known = {cached.page: cached for cached in before.tlb} if before is not None else {}
    for row, cached in enumerate(cpu.tlb):
        line = y + 9 + row * 18
        changed = before is not None and known.get(cached.page) != cached
        used = pen.field(x + PAD + 38, line, str(cached), changed)
        if cached.stale:
            pen.warning(x + PAD + 38 + used + 10, line, "STALE")
    if not cpu.tlb:
        pen.field(x + PAD + 38, y + 9, "empty", bool(known), "m s q")


def call_chain(chain: str, room: float, lines: int) -> list[str]:
    """The end of a chain of calls, as much as fits.

    Where a CPU is matters more than how it came there.
    """
    links = chain.split(" → ")
    for start in range(len(links)):
        text = " → ".join((["…"] if start else []) + links[start:])
        broken = fit(text, room, 99, SMALL)
        if len(broken) <= lines:
            return broken
    return fit(links[-1], room, lines, SMALL)
