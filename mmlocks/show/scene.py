"""One moment of a run as plain data: what there is to see, before anybody decides how to draw or write it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mmlocks.machine import Run, RwSem, SpinLock, Step, Violation
from mmlocks.machine.state import Record
from mmlocks.machine.task import Place
from mmlocks.mm.maple_node import END, UNBUILT, MapleNode, Ranges
from mmlocks.mm.mm_types import FREED, USED, File, Frame, Mm, Pte, Vma
from mmlocks.mm.vm_flags import VM_GROWSDOWN
from mmlocks.mm.world import World
from mmlocks.oracles.holding import objects


@dataclass(frozen=True)
class Held:
    """A lock and who has it: a writer (or owner), or readers."""

    name: str
    writer: int | None
    readers: tuple[int, ...] = ()
    spinning: bool = False

    def __str__(self) -> str:
        if self.writer is not None:
            return f"cpu{self.writer}"
        return (
            ", ".join(f"cpu{cpu}" for cpu in self.readers) + " (read)" if self.readers else "free"
        )

    @property
    def free(self) -> bool:
        """Whether nobody has it."""
        return self.writer is None and not self.readers


@dataclass(frozen=True)
class Cached:
    """A translation in a CPU's TLB; stale if the page table would no longer give it."""

    page: int
    entry: Pte
    stale: bool


@dataclass(frozen=True)
class Entry:
    """A page-table entry, its lock, and what the program has stored in the page, going by completed stores."""

    page: int
    pte: Pte | None
    ptl: Held
    stored: tuple[Any, ...] = ()
    reads: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Area:
    """A VMA with its lock. `write_locked` is "vm_lock_seq equals mm_lock_seq".

    `fate` says what is unusual about it: "not in the tree yet", "out of the tree" or "freed"; of a freed one nothing else is known. It is
    still there while `users` are about to use it. An RCU reader among `awaited` keeps it from being freed. `pgoff` and `filing`, its
    anon_vma in words, are left out in worlds where they never change.
    """

    name: str
    start: int
    end: int
    lock: Held
    seq: int
    write_locked: bool
    has_anon_vma: bool
    detached: bool
    pages: tuple[Entry, ...]
    pgoff: int | None = None
    filing: str = ""
    fate: str = ""
    users: tuple[int, ...] = ()
    awaited: tuple[int, ...] = ()


@dataclass(frozen=True)
class Node:
    """A node of the tree: what it leads to, and where each range ends (None: nowhere).

    `state` is "root", "inner", "not in the tree yet", "dead" (it was replaced) or "freed". `users` are the CPUs that are about to use it, and
    `awaited` the RCU readers that keep it from being freed.
    """

    name: str
    state: str
    ranges: tuple[tuple[str, int | None], ...]
    users: tuple[int, ...]
    awaited: tuple[int, ...]

    def __str__(self) -> str:
        """`root: gap up to 0x3000, heap up to 0x4000, gap`."""
        parts = (what if end is None else f"{what} up to {end:#x}" for what, end in self.ranges)
        return f"{self.name}: {', '.join(parts)}" if self.ranges else self.name


@dataclass(frozen=True)
class Tree:
    """The tree of VMAs, in a world where it may change: the nodes that there are or were, and which of them it begins with."""

    name: str
    root: str
    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Backing:
    """A file that may be mapped: its lock, and the VMAs in which one finds its pages."""

    name: str
    lock: Held
    mapped: tuple[str, ...]


@dataclass(frozen=True)
class Space:
    """An address space: its lock, its sequence number, its VMAs, and pages that no VMA covers."""

    name: str
    lock: Held
    seq: int
    areas: tuple[Area, ...]
    page_table_lock: Held
    loose: tuple[Entry, ...]


@dataclass(frozen=True)
class Page:
    """A frame of physical memory; `users` says who can reach it. A count of 0 means free."""

    name: str
    count: int
    words: tuple[Any, ...]
    users: tuple[str, ...]
    allocated_by: int | None
    """The CPU that it is set aside for; None for frames in use from the start."""
    filed: str = ""
    """The anon_vma and the index under which it is filed, in words; left out where that never changes."""
    told: bool | None = None
    """Whether its file system knows of a store to it; None where it does not want to."""


@dataclass(frozen=True)
class Cpu:
    """A CPU: what it runs, whether it can go on, and why not. `status` is ready, blocked, done or stopped."""

    number: int
    task: str
    status: str
    why: str
    where: tuple[Place, ...]
    holds: tuple[str, ...]
    tlb: tuple[Cached, ...]
    in_rcu: bool


@dataclass(frozen=True)
class Scene:
    """Everything to be seen after `at` steps of a run."""

    at: int
    cpus: tuple[Cpu, ...]
    parent: Space
    child: Space
    frames: tuple[Page, ...]
    violation: Violation | None
    forks: bool = True
    tree: Tree | None = None
    files: tuple[Backing, ...] = ()


def scene(world: World, run: Run, at: int | None = None) -> Scene:
    """What there is to see after `at` steps (default: after all of them)."""
    at = len(run) if at is None else max(0, min(at, len(run)))
    then = run if at == len(run) else run.at(at)
    violation = then.violation
    held = [lock for lock in locks(world, then.state) if not lock.free]
    return Scene(
        at=at,
        cpus=tuple(_cpu(world, then, violation, held, cpu) for cpu in run.machine.cpus),
        parent=_space(world, world.mm, then),
        child=_space(world, world.child, then),
        frames=tuple(_frames(world, then.state)),
        violation=violation,
        forks=world.forks,
        tree=_tree(world, then) if has_tree(world) else None,
        files=tuple(
            Backing(
                file.name,
                rwsem(file.i_mmap_rwsem, then.state),
                tuple(map(str, file.i_mmap.of(then.state))),
            )
            for file in world.files.values()
        ),
    )


def has_tree(world: World) -> bool:
    """Whether the tree may change: where it cannot, it says no more than the VMAs do."""
    return len(world.mm.mm_mt.nodes.members) > 1


def has_filing(world: World) -> bool:
    """Whether it may change in which anon_vma, or under which index, a page is filed: a VMA may get its anon_vma, or may change its place."""
    initial = world.layout.initial
    faulting = {page for page, _ in world.memory.pools}

    def may_change(vma: Vma) -> bool:
        start, end = vma.vm_start.of(initial) // 0x1000, vma.vm_end.of(initial) // 0x1000
        first = vma.anon_vma.of(initial) is None and not faulting.isdisjoint(range(start, end))
        return first or bool(vma.vm_flags.of(initial) & VM_GROWSDOWN)

    return has_tree(world) or any(map(may_change, world.mm.vmas))


def is_stale(cached: Pte, current: Pte | None) -> bool:
    """Whether a cached translation allows what the page table no longer does."""
    return current is None or cached not in (current, current.wrprotected())


def locks(world: World, state: int) -> Iterator[Held]:
    """Every lock of both address spaces, and of the files."""
    for mm in world.spaces:
        yield rwsem(mm.mmap_lock, state)
        yield spin(mm.page_table_lock, state)
        for vma in areas(mm, state):
            yield rwsem(vma.vm_lock, state)
        for lock in mm.page_table.ptl.values():
            yield spin(lock, state)
    for file in world.files.values():
        yield rwsem(file.i_mmap_rwsem, state)


def rwsem(lock: RwSem, state: int) -> Held:
    """Who has a reader/writer lock."""
    writer = lock.writer.of(state)
    return Held(
        lock.name,
        writer - 1 if writer else None,
        tuple(cpu for cpu, bit in enumerate(lock.readers) if bit.of(state)),
    )


def spin(lock: SpinLock, state: int) -> Held:
    """Who has a spinlock."""
    owner = lock.owner.of(state)
    return Held(lock.name, owner - 1 if owner else None, spinning=True)


def areas(mm: Mm, state: int) -> list[Vma]:
    """The VMAs of an address space, by its tree, and those that are locked or in use though not in it."""
    listed = mm.mm_mt.contents(state)
    others = [vma for vma in (*mm.vmas, *mm.spare_vmas) if vma not in listed]
    # Of a child's VMA that fork has not put into the tree yet, nobody knows.
    return listed + [
        vma
        for vma in others
        if vma.life.of(state) != FREED
        and (not rwsem(vma.vm_lock, state).free or (mm.mm_mt.in_rcu and vma.life.of(state) == USED))
    ]


def about_to_use(run: Run, record: Record) -> tuple[int, ...]:
    """The CPUs whose next step is about a VMA or a node."""
    cells = objects(run.machine.layout)
    steps = ((cpu, run.machine.node(run.state, cpu).step) for cpu in run.machine.cpus)
    return tuple(cpu for cpu, step in steps if step is not None and _concerns(step, record, cells))


def _concerns(step: Step, record: Record, cells: dict[int, Record]) -> bool:
    return any(
        arg is record
        or (isinstance(record, Vma) and arg is record.vm_lock)
        or (isinstance(arg, Step) and _concerns(arg, record, cells))
        or (step.op in ON_CELLS and place == 0 and cells.get(arg) is record)
        for place, arg in enumerate(step.args)
    )


ON_CELLS = frozenset({"load", "store", "swap", "add", "fetch_add", "wait"})
"""Operations whose first argument is the number of a cell."""


def _awaited(world: World, state: int, record: Record) -> tuple[int, ...]:
    """The RCU readers that keep a thing from being freed."""
    return next((readers for thing, readers in world.rcu.waiting.of(state) if thing is record), ())


def _tree(world: World, run: Run) -> Tree:
    tree, state = world.mm.mm_mt, run.state
    root = tree.ma_root.of(state)
    linked = {id(root)} | {id(below) for below in _inner(root, state)}
    built = [node for node in tree.nodes if node.ranges.of(state) != UNBUILT]
    return Tree(
        tree.name,
        short(root.name),
        tuple(_node(world, run, node, node is root, id(node) in linked) for node in built),
    )


def short(name: str) -> str:
    """A node's own name."""
    return name.rpartition(".")[2]


def _inner(node: MapleNode, state: int) -> Iterator[MapleNode]:
    found = node.ranges.of(state)
    for slot in found.slots if isinstance(found, Ranges) else ():
        if isinstance(slot, MapleNode):
            yield slot
            yield from _inner(slot, state)


def _node(world: World, run: Run, node: MapleNode, is_root: bool, linked: bool) -> Node:
    found = node.ranges.of(run.state)
    ranges: tuple[tuple[str, int | None], ...] = ()
    if not isinstance(found, Ranges):
        state = "freed"
    else:
        state = (
            "dead"
            if found.dead
            else "root"
            if is_root
            else "inner"
            if linked
            else "not in the tree yet"
        )
        ranges = tuple(
            ("gap" if slot is None else short(str(slot)), None if end == END else end)
            for end, slot in zip(found.ends, found.slots, strict=True)
        )
    return Node(
        short(node.name), state, ranges, about_to_use(run, node), _awaited(world, run.state, node)
    )


def _cpu(world: World, run: Run, violation: Violation | None, held: list[Held], cpu: int) -> Cpu:
    node = run.machine.node(run.state, cpu)
    why = ""
    if node.step is None:
        status = "done"
    elif violation is not None and run.machine.deadlock(run.state) is None:
        status = "stopped"
    else:
        why = run.why_blocked(cpu) or ""
        status = "blocked" if why else "ready"
    holds = [
        lock.name if lock.spinning else f"{lock.name} ({'write' if lock.writer == cpu else 'read'})"
        for lock in held
        if cpu == lock.writer or cpu in lock.readers
    ]
    return Cpu(
        number=cpu,
        task=run.machine.tasks[cpu].name,
        status=status,
        why=why,
        where=node.answer.where,
        holds=tuple(holds),
        tlb=tuple(_tlb(world, run.state, cpu)),
        in_rcu=world.rcu.sections[cpu].of(run.state) % 2 == 1,
    )


def _tlb(world: World, state: int, cpu: int) -> Iterator[Cached]:
    for (of, page), cell in world.mm.tlb.cached.items():
        entry = cell.of(state)
        if of == cpu and entry is not None:
            yield Cached(page, entry, is_stale(entry, world.mm.page_table.pte[page].of(state)))


def _space(world: World, mm: Mm, run: Run) -> Space:
    state = run.state
    seq = mm.mm_lock_seq.of(state)
    entries = {page: _entry(world, mm, page, state) for page in world.pages}
    filing = has_filing(world)
    shown: tuple[Area, ...] = ()
    left = dict(entries)
    for vma in areas(mm, state):
        shown += (_area(world, vma, left, seq, run, filing),)
        left = {page: entry for page, entry in left.items() if entry not in shown[-1].pages}
    if has_tree(world):
        gone = (vma for vma in (*mm.vmas, *mm.spare_vmas) if vma.life.of(state) == FREED)
        shown += tuple(_freed(vma, users) for vma in gone if (users := about_to_use(run, vma)))
    covered = {entry.page for area in shown for entry in area.pages}
    loose = tuple(
        entry for page, entry in entries.items() if page not in covered and entry.pte is not None
    )
    return Space(
        _called(world, mm),
        rwsem(mm.mmap_lock, state),
        seq,
        shown,
        spin(mm.page_table_lock, state),
        loose,
    )


def _called(world: World, mm: Mm) -> str:
    return mm.name if mm is not world.mm else "parent" if world.forks else "process"


def _freed(vma: Vma, users: tuple[int, ...]) -> Area:
    """A VMA of which nothing is left but somebody's pointer to it."""
    nobody = Held(vma.vm_lock.name, None)
    return Area(vma.name, 0, 0, nobody, 0, False, False, True, (), fate="freed", users=users)


def _area(
    world: World, vma: Vma, entries: dict[int, Entry], mm_seq: int, run: Run, filing: bool
) -> Area:
    state = run.state
    start, end, seq = vma.vm_start.of(state), vma.vm_end.of(state), vma.vm_lock_seq.of(state)
    inside = tuple(entry for page, entry in entries.items() if start <= page * 0x1000 < end)
    listed = vma in vma.vm_mm.mm_mt.contents(state)
    fate = "" if listed else "out of the tree" if vma.detached.of(state) else "not in the tree yet"
    if not has_tree(world):
        fate = ""
    if fate:  # of the pages that no other VMA has, those that it still maps
        inside = tuple(entry for entry in inside if entry.pte is not None)
    return Area(
        name=vma.name,
        start=start,
        end=end,
        lock=rwsem(vma.vm_lock, state),
        seq=seq,
        write_locked=seq == mm_seq,
        has_anon_vma=vma.anon_vma.of(state) is not None,
        detached=vma.detached.of(state),
        pages=inside,
        pgoff=vma.vm_pgoff.of(state) if filing else None,
        filing=_filing(vma, state) if filing else "",
        fate=fate,
        users=about_to_use(run, vma) if fate else (),
        awaited=_awaited(world, state, vma),
    )


def _filing(vma: Vma, state: int) -> str:
    """Where a VMA's pages are filed: its anon_vma, and whether who looks there would find the VMA; or its file."""
    file, anon_vma = vma.vm_file.of(state), vma.anon_vma.of(state)
    if anon_vma is None:
        return (
            "no anon_vma"
            if file is None
            else f"{file}, vm_page_prot {vma.vm_page_prot.text(vma.vm_page_prot.of(state))}"
        )
    return str(anon_vma) + ("" if anon_vma in vma.anon_vma_chain.of(state) else ", not linked")


def _entry(world: World, mm: Mm, page: int, state: int) -> Entry:
    stored = world.truth(state, page) if mm is world.mm and mm.truth else ()
    return Entry(
        page,
        mm.page_table.pte[page].of(state),
        spin(mm.page_table.ptl[page], state),
        stored,
        world.content(mm, state, page),
    )


def _frames(world: World, state: int) -> Iterator[Page]:
    pooled = {
        frame.name: cpu for (_, cpu), frames in world.memory.pools.items() for frame in frames
    }
    zero = (
        [world.memory.zero]
        if any(
            world.mm.page_table.pte[page].of(world.layout.initial) is None for page in world.pages
        )
        else []
    )
    filing = has_filing(world)
    for frame in (
        *world.memory.frames,
        *(found for file in world.files.values() for found in _cached(file)),
        *zero,
    ):
        mapping = frame.mapping.of(state) if filing else None
        yield Page(
            frame.name,
            frame.refcount.of(state),
            tuple(cell.of(state) for cell in frame.data),
            tuple(_users(world, frame, state)),
            pooled.get(frame.name),
            f"{mapping} index {frame.index.of(state)}" if mapping is not None else "",
            None if frame.dirty is None else frame.dirty.of(state),
        )


def _cached(file: File) -> Iterator[Frame]:
    """A file's pages in memory."""
    for page in range(file.pages):
        frame = file.frame(page)
        if frame is not None:
            yield frame


def _users(world: World, frame: Frame, state: int) -> Iterator[str]:
    for mm in world.spaces:
        for page, cell in mm.page_table.pte.items():
            entry = cell.of(state)
            if entry is not None and entry.frame is frame:
                yield f"{_called(world, mm)} P{page} {'rw' if entry.write else 'ro'}"
    for (cpu, page), cell in world.mm.tlb.cached.items():
        entry = cell.of(state)
        if (
            entry is not None
            and entry.frame is frame
            and is_stale(entry, world.mm.page_table.pte[page].of(state))
        ):
            yield f"cpu{cpu}'s stale TLB {'rw' if entry.write else 'ro'}"
