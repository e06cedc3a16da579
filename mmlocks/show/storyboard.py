"""A run as a few still panels: for GitHub, for paper, and for where widgets do not work."""

from __future__ import annotations

from typing import NamedTuple

from mmlocks.machine import Run
from mmlocks.machine.step import parts
from mmlocks.mm.world import World
from mmlocks.show.draw import COLUMNS_FROM, GAP, LINE, MONO, SANS, SMALL, WIDE, Pen, document, fit
from mmlocks.show.panel_frames import words
from mmlocks.show.panel_lock import held_chips
from mmlocks.show.panel_space import filed, freed_vma
from mmlocks.show.panel_tree import NODE, node
from mmlocks.show.scene import scene
from mmlocks.show.scene_parts import FrameState, LockState, NodeState, Scene, SpaceState, VmaState
from mmlocks.show.text import broken, function_of, timeline

MOST = 6
"""More panels than this tell a reader nothing; the first ones are left out."""


def key_moments(run: Run) -> list[int]:
    """The last steps after which another CPU went on, and the very last one."""
    steps, cpus = range(1, len(run) + 1), run.cpus
    return [step for step in steps if step == len(run) or cpus[step] != cpus[step - 1]][-MOST:]


def storyboard(
    world: World,
    run: Run,
    steps: list[int] | None = None,
    title: str = "",
    ending: str = "",
    width: int = WIDE,
) -> str:
    """Panels of the moments after `steps` (default: the key moments).

    Each panel marks what has changed since the one before it.
    """
    steps = key_moments(run) if steps is None else steps
    steps = [step for step in steps if 0 <= step <= len(run)] or [0]
    scenes = [scene(world, run, step) for step in steps]
    known = [scene(world, run, 0), *scenes[:-1]]
    columns = 2 if width >= COLUMNS_FROM and len(steps) > 1 else 1
    each = (width - 16 - GAP * (columns - 1)) / columns
    kept = _kept([known[0], *scenes])
    height = max(_height(now, kept) for now in scenes)
    pen = Pen()
    top = pen.lines(8, 24, fit(title, width - 16, 3, SANS * 1.35), "h", 20) - 16
    top += 10 if title else 0
    for index, (step, now, before) in enumerate(zip(steps, scenes, known, strict=True)):
        column, row = index % columns, index // columns
        since = steps[index - 1] + 1 if index else 1
        x, y = 8 + column * (each + GAP), top + row * (height + GAP)
        _panel(pen, x, y, each, height, run, step, since, now, before, kept)
    top += -(-len(steps) // columns) * (height + GAP)
    if ending:
        top = pen.lines(12, top + 10, fit(ending, width - 24, 8, SANS), "", LINE + 1) - 2
    return document(width, top, title or "Storyboard of a run", timeline(run, world), pen.parts)


class Kept(NamedTuple):
    """What changes in this run, and is shown beside pages and frames: these VMAs, the tree."""

    vmas: frozenset[str]
    tree: bool


def _kept(scenes: list[Scene]) -> Kept:
    seen = [
        {vma.name: (vma.range, vma.pgoff, vma.filing, vma.fate) for vma in _vmas(now)}
        for now in scenes
    ]
    names = {name for vmas in seen for name in vmas}
    changing = frozenset(name for name in names if len({vmas.get(name) for vmas in seen}) > 1)
    trees = {
        (now.tree.root, *((node.name, node.ranges) for node in now.tree.nodes))
        for now in scenes
        if now.tree
    }
    return Kept(changing, len(trees) > 1)


def _height(now: Scene, kept: Kept) -> float:
    """Height of a moment's panel."""
    entries = len(now.parent.entries) + len(now.child.entries)
    rows = entries + sum(len(cpu.tlb) for cpu in now.cpus)
    frames = sum(_frame_height(frame) for frame in now.frames if _in_use(frame))
    vmas = sum(_vma_height(vma) for vma in _vmas(now) if vma.name in kept.vmas)
    return 142 + max(rows * 19, frames) + 8 + vmas + len(_nodes(now, kept)) * NODE


def _vmas(now: Scene) -> list[VmaState]:
    """The VMAs that can change in this world."""
    every = (*now.parent.vmas, *now.child.vmas)
    return [vma for vma in every if vma.filing or vma.fate]


def _vma_height(vma: VmaState) -> float:
    return 46 if vma.fate == "freed" else 38


def _nodes(now: Scene, kept: Kept) -> list[NodeState]:
    """The nodes of the tree, without freed ones that no CPU is about to use."""
    if now.tree is None or not kept.tree:
        return []
    return [node for node in now.tree.nodes if node.state != "freed" or node.users]


LONG_NAME = 8
"""A frame with a longer name has its count below it."""


def _frame_height(frame: FrameState) -> int:
    return 24 + 16 * ((len(frame.name) > LONG_NAME) + bool(frame.filed or frame.told is not None))


def _in_use(frame: FrameState) -> bool:
    return frame.count > 0 and (frame.name != "zero" or bool(frame.users))


def _panel(
    pen: Pen,
    x: float,
    y: float,
    width: float,
    height: float,
    run: Run,
    step: int,
    since: int,
    now: Scene,
    before: Scene,
    kept: Kept,
) -> None:
    bad = now.violation is not None
    pen.box(x, y, width, height, "card", radius=6)
    cpu = run.cpus[step - 1] if step else 0
    if step:
        used = pen.cpu_chip(x + 10, y + 20, f"cpu{cpu}", cpu)
        count = f"step {step}" if since >= step else f"steps {since} to {step}"
        function = function_of(run, step - 1)
        pen.text(x + 18 + used, y + 20, f"{count}{f', in {function}' if function else ''}", "b")
    else:
        pen.text(x + 10, y + 20, "at the start", "b")
    for index, (part, wrong) in enumerate(_told(run, since, step, now, width - 20)):
        pen.text(x + 10, y + 40 + index * LINE, part, "w" if wrong else "")
    if bad:
        pen.hatch(x + 1, y + height - 8, width - 2, 7)
    line = y + 108
    left = x + 10
    for lock in _locks(now):
        if left + len(lock.name) * MONO + 76 > x + width and left > x + 10:
            break
        pen.text(left, line, lock.name, "m s")
        left = held_chips(pen, left + len(lock.name) * SMALL + 6, line, lock) + 14
    line += 26
    line = _draw_vmas(pen, x + 10, line, width - 20, now, before, kept)
    longest = max((len(str(entry)) for entry in now.parent.entries), default=0)
    middle = x + max(225.0, width * 0.55, 60 + longest * MONO)
    top = line
    mine = "parent" if now.forks else "page"
    line = _entries(pen, x + 10, line, now.parent, before.parent, mine)
    line = _entries(pen, x + 10, line, now.child, before.child, "child ")
    _tlbs(pen, x + 10, line, now, before)
    known = {frame.name: frame for frame in before.frames}
    for frame in (frame for frame in now.frames if _in_use(frame)):
        _frame(pen, middle, top, x + width - 10, frame, known[frame.name])
        top += _frame_height(frame)
    nodes = _nodes(now, kept)
    nodes_were = {node.name: node for node in before.tree.nodes} if before.tree is not None else {}
    top = y + height - 10 - len(nodes) * NODE
    for shown in nodes:
        node(pen, x + 8, top, width - 16, shown, nodes_were.get(shown.name), True)
        top += NODE


def _draw_vmas(
    pen: Pen, x: float, line: float, width: float, now: Scene, before: Scene, kept: Kept
) -> float:
    """The VMAs: their addresses, and where their pages are filed."""
    known = {vma.name: vma for vma in _vmas(before)}
    for vma in (vma for vma in _vmas(now) if vma.name in kept.vmas):
        was = known.get(vma.name)
        if vma.fate == "freed":
            freed_vma(pen, x, line - 14, width, vma)
        else:
            used = pen.field(x, line, f"VMA {vma.range}", was is None or was.range != vma.range)
            fate = vma.fate or ("write-locked" if vma.write_locked else "")
            pen.remark(x + used + 12, line, fate, was is not None and was.fate != vma.fate)
            filed(pen, x + 12, line + 17, vma, was)
        line += _vma_height(vma)
    return line


TELLING = {
    "mmu_store",
    "mmu_load",
    "mmu_fetch_add",
    "alloc_folio",
    "set_pte",
    "flush_tlb",
    "mas_retire",
}
"""Operations that change what a program sees of its memory, or what is in the tree."""
MOVED = ("vm_start", "vm_pgoff", "anon_vma")
"""Fields of the process's VMAs: a store to one of them is told, too."""


def _told(run: Run, since: int, step: int, now: Scene, room: float) -> list[tuple[str, bool]]:
    """What a panel says: its last telling steps in at most four lines, or a whole violation.

    Each line comes with whether it tells what is wrong.
    """
    steps = [number for number in range(since, step + 1) if number == step or _telling(run, number)]
    if now.violation is not None:
        message = fit(f"Rule broken: {broken(now.violation.message)}.", room, 4, SANS * 1.13, True)
        wrong = [(line, True) for line in message]
        before = [(_line(run, number, room), False) for number in steps[-2:-1]]
        return [*before, *wrong] if len(message) < 4 else wrong
    if not step:
        return [("No CPU has taken a step yet.", False)]
    whole = [
        line for number in steps for line in fit(f"{number}: {run.told(number - 1)}", room, 9, SANS)
    ]
    told = whole if len(whole) <= 4 else [_line(run, number, room) for number in steps[-4:]]
    return [(line, False) for line in told]


def _line(run: Run, number: int, room: float) -> str:
    return fit(f"{number}: {run.told(number - 1)}", room, 1, SANS)[0]


def _telling(run: Run, number: int) -> bool:
    return any(
        part.op in TELLING or (part.op == "store" and _moves(run, part.args[0]))
        for part in parts(run.taken[number - 1].step)
    )


def _moves(run: Run, cell: int) -> bool:
    vma, _, field = run.machine.layout.cells[cell].name.rpartition(".")
    return field in MOVED and not vma.startswith("child")


def _locks(now: Scene) -> list[LockState]:
    """The locks that are held, big ones first."""
    spaces = (now.parent, now.child)
    every = [space.lock for space in spaces]
    every += [vma.lock for space in spaces for vma in space.vmas]
    every += [file.lock for file in now.files]
    every += [space.page_table_lock for space in spaces if now.tree is not None or not now.forks]
    every += [entry.ptl for space in spaces for vma in space.vmas for entry in vma.pages]
    return [lock for lock in every if not lock.free]


def _entries(
    pen: Pen, x: float, line: float, now: SpaceState, before: SpaceState, name: str
) -> float:
    known = {entry.page: entry.pte for entry in before.entries}
    for entry in now.entries:
        pen.text(x, line, name, "q s")
        pen.field(x + 44, line, str(entry), known.get(entry.page) != entry.pte)
        line += 19
    return line


def _tlbs(pen: Pen, x: float, line: float, now: Scene, before: Scene) -> None:
    for cpu, was in zip(now.cpus, before.cpus, strict=True):
        known = {cached.page: cached.entry for cached in was.tlb}
        for cached in cpu.tlb:
            pen.text(x, line, f"TLB {cpu.number}", "q s")
            changed = known.get(cached.page) != cached.entry
            used = pen.field(x + 44, line, str(cached), changed)
            if cached.stale:
                pen.warning(x + 44 + used + 8, line, "STALE")
            line += 19


def _frame(
    pen: Pen, x: float, line: float, end: float, now: FrameState, before: FrameState
) -> None:
    pen.text(x, line, now.name, "m b")
    words(pen, x + len(now.name) * MONO + 10, line, now, before, 19, "area")
    text = f"count {now.count}"
    line += 16 if len(now.name) > LONG_NAME else 0
    pen.field(end - len(text) * MONO, line, text, before.count != now.count)
    if now.filed:
        pen.remark(x, line + 18, now.filed, before.filed != now.filed)
    if now.told is not None:
        told = f"file system {'was' if now.told else 'not'} told"
        pen.remark(x, line + 18, told, before.told != now.told)
