"""A run as a few still panels: for GitHub, for paper, for wherever there are no widgets."""

from __future__ import annotations

from typing import NamedTuple

from mmlocks.machine import Run
from mmlocks.machine.step import parts
from mmlocks.mm.world import World
from mmlocks.show.draw import LINE, MONO, SANS, Pen, cpu_colour, cpu_ink, document, fit
from mmlocks.show.panels import NODE, filed, gone, held_chips, node
from mmlocks.show.scene import Area, Entry, Held, Node, Page, Scene, Space, scene
from mmlocks.show.text import broken, function_of, timeline

WIDE = 960
NARROW = 440
GAP = 14
MOST = 6
"""More panels than this tell nobody anything; the first ones are left out."""


def key_moments(run: Run) -> list[int]:
    """The steps after which another CPU went on, and the last one."""
    ends = [
        step
        for step in range(1, len(run) + 1)
        if step == len(run) or run.cpus[step] != run.cpus[step - 1]
    ]
    return ends[-MOST:]


def storyboard(
    world: World,
    run: Run,
    steps: list[int] | None = None,
    title: str = "",
    ending: str = "",
    width: int = WIDE,
) -> str:
    """Panels of the moments after `steps` (default: the key moments), with what changed from one to the next."""
    steps = [
        step for step in (key_moments(run) if steps is None else steps) if 0 <= step <= len(run)
    ] or [0]
    scenes = [scene(world, run, step) for step in steps]
    known = [scene(world, run, 0), *scenes[:-1]]
    columns = 2 if width >= 800 and len(steps) > 1 else 1
    each = (width - 16 - GAP * (columns - 1)) / columns
    kept = _kept([known[0], *scenes])
    height = max(_height(now, kept) for now in scenes)
    pen = Pen()
    top = 8.0
    for part in fit(title, width - 16, 3, SANS * 1.35):
        pen.text(8, top + 16, part, "h")
        top += 20
    top += 10 if title else 0
    for index, (step, now, before) in enumerate(zip(steps, scenes, known, strict=True)):
        column, row = index % columns, index // columns
        since = steps[index - 1] + 1 if index else 1
        x, y = 8 + column * (each + GAP), top + row * (height + GAP)
        _panel(pen, x, y, each, height, run, step, since, now, before, kept)
    top += -(-len(steps) // columns) * (height + GAP)
    if ending:
        for part in fit(ending, width - 24, 8, SANS):
            pen.text(12, top + 10, part)
            top += LINE + 1
        top += 8
    return document(width, top, title or "Storyboard of a run", timeline(run, world), pen.parts)


class Kept(NamedTuple):
    """What is shown beside pages and frames, as it changes in this run: these VMAs, and the tree."""

    areas: frozenset[str]
    tree: bool


def _kept(scenes: list[Scene]) -> Kept:
    seen = [
        {
            area.name: (area.start, area.end, area.pgoff, area.filing, area.fate)
            for area in _listed(now)
        }
        for now in scenes
    ]
    names = {name for areas in seen for name in areas}
    trees = {
        (tree.root, *((node.name, node.ranges) for node in tree.nodes))
        for tree in (now.tree for now in scenes)
        if tree
    }
    changing = frozenset(name for name in names if len({areas.get(name) for areas in seen}) > 1)
    return Kept(changing, len(trees) > 1)


def _height(now: Scene, kept: Kept) -> float:
    """What a moment's panel needs."""
    entries = sum(len(_every_entry(space)) for space in (now.parent, now.child))
    rows = entries + sum(len(cpu.tlb) for cpu in now.cpus)
    frames = sum(_frame_height(frame) for frame in now.frames if _in_use(frame))
    return (
        142
        + max(rows * 19, frames)
        + 8
        + sum(_area_height(area) for area in _listed(now) if area.name in kept.areas)
        + len(_nodes(now, kept)) * NODE
    )


def _listed(now: Scene) -> list[Area]:
    """The VMAs, where it changes what they are."""
    return [
        area
        for space in (now.parent, now.child)
        for area in space.areas
        if area.filing or area.fate
    ]


def _area_height(area: Area) -> float:
    return 46 if area.fate == "freed" else 38


def _nodes(now: Scene, kept: Kept) -> list[Node]:
    """The nodes of the tree, without those that are gone for everybody."""
    if now.tree is None or not kept.tree:
        return []
    return [node for node in now.tree.nodes if node.state != "freed" or node.users]


LONG_NAME = 8
"""A frame with a longer name has its count below it."""


def _frame_height(frame: Page) -> int:
    return 24 + 16 * ((len(frame.name) > LONG_NAME) + bool(frame.filed or frame.told is not None))


def _in_use(frame: Page) -> bool:
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
        used = pen.chip(x + 10, y + 20, f"cpu{cpu}", cpu_colour(cpu), cpu_ink(cpu))
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
    place = x + 10
    for lock in _locks(now):
        size = len(lock.name) * MONO + 76
        if place + size > x + width and place > x + 10:
            break
        pen.text(place, line, lock.name, "m s")
        place = held_chips(pen, place + len(lock.name) * MONO * 11 / 12 + 6, line, lock) + 14
    line += 26
    line = _areas(pen, x + 10, line, width - 20, now, before, kept)
    longest = max((len(_entry_text(entry)) for entry in _every_entry(now.parent)), default=0)
    middle = x + max(225.0, width * 0.55, 60 + longest * MONO)
    top = line
    mine = "parent" if now.forks else "page"
    for space, was, name in (
        (now.parent, before.parent, mine),
        (now.child, before.child, "child "),
    ):
        line = _entries(pen, x + 10, line, space, was, name)
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


def _areas(
    pen: Pen, x: float, line: float, width: float, now: Scene, before: Scene, kept: Kept
) -> float:
    """The VMAs: from where to where, and where their pages are filed."""
    known = {area.name: area for area in _listed(before)}
    for area in (area for area in _listed(now) if area.name in kept.areas):
        was = known.get(area.name)
        if area.fate == "freed":
            gone(pen, x, line - 14, width, area)
        else:
            changed = was is None or (was.start, was.end) != (area.start, area.end)
            used = pen.field(x, line, f"VMA {area.name} [{area.start:#x}, {area.end:#x})", changed)
            fate = area.fate or ("write-locked" if area.write_locked else "")
            pen.remark(x + used + 12, line, fate, was is not None and was.fate != area.fate)
            filed(pen, x + 12, line + 17, area, was)
        line += _area_height(area)
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
"""Operations that change what a program can see of its memory, or what is in the tree."""
PLACES = ("vm_start", "vm_pgoff", "anon_vma")
"""Fields of the process's VMAs: a store to one tells something, too."""


def _told(run: Run, since: int, step: int, now: Scene, room: float) -> list[tuple[str, bool]]:
    """The last telling steps of a panel, at most four lines; a violation is told whole. Each line with whether it tells what is wrong."""
    steps = [number for number in range(since, step + 1) if number == step or _telling(run, number)]
    if now.violation is not None:
        message = fit(f"Rule broken: {broken(now.violation.message)}.", room, 4, SANS * 1.13, True)
        wrong = [(line, True) for line in message]
        before = [(_line(run, number, room), False) for number in steps[-2:-1]]
        return [*before, *wrong] if len(message) < 4 else wrong
    if not step:
        return [("Nobody has taken a step yet.", False)]
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
    return field in PLACES and not vma.startswith("child")


def _locks(now: Scene) -> list[Held]:
    """The locks that somebody has, big ones first."""
    spaces = (now.parent, now.child)
    every = [space.lock for space in spaces]
    every += [area.lock for space in spaces for area in space.areas]
    every += [file.lock for file in now.files]
    every += [space.page_table_lock for space in spaces if now.tree is not None or not now.forks]
    every += [entry.ptl for space in spaces for area in space.areas for entry in area.pages]
    return [lock for lock in every if not lock.free]


def _entries(pen: Pen, x: float, line: float, now: Space, before: Space, name: str) -> float:
    known = {entry.page: entry.pte for entry in _every_entry(before)}
    for entry in _every_entry(now):
        pen.text(x, line, name, "q s")
        changed = known.get(entry.page) != entry.pte
        pen.field(x + 44, line, _entry_text(entry), changed)
        line += 19
    return line


def _entry_text(entry: Entry) -> str:
    return f"P{entry.page} → {entry.pte or 'nothing'}"


def _every_entry(space: Space) -> list[Entry]:
    return [*(entry for area in space.areas for entry in area.pages), *space.loose]


def _tlbs(pen: Pen, x: float, line: float, now: Scene, before: Scene) -> None:
    for cpu, was in zip(now.cpus, before.cpus, strict=True):
        known = {cached.page: cached.entry for cached in was.tlb}
        for cached in cpu.tlb:
            pen.text(x, line, f"TLB {cpu.number}", "q s")
            used = pen.field(
                x + 44,
                line,
                f"P{cached.page} → {cached.entry}",
                known.get(cached.page) != cached.entry,
            )
            if cached.stale:
                pen.warning(x + 44 + used + 8, line, "STALE")
            line += 19


def _frame(pen: Pen, x: float, line: float, end: float, now: Page, before: Page) -> None:
    pen.text(x, line, now.name, "m b")
    place = x + len(now.name) * MONO + 10
    for value, was in zip(now.words, before.words, strict=True):
        size = max(22.0, len(str(value)) * MONO + 10)
        pen.box(place, line - 14, size, 19, "hot" if value != was else "area", radius=2)
        pen.text(place + size / 2, line, str(value), "m k" if value != was else "m", "middle")
        place += size + 3
    text = f"count {now.count}"
    line += 16 if len(now.name) > LONG_NAME else 0
    pen.field(end - len(text) * MONO, line, text, before.count != now.count)
    if now.filed:
        pen.remark(x, line + 18, now.filed, before.filed != now.filed)
    if now.told is not None:
        words = f"file system {'was' if now.told else 'not'} told"
        pen.remark(x, line + 18, words, before.told != now.told)
