"""One moment of a run as plain data: what there is to see, before anybody decides how to draw or write it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mmlocks.machine import Run, RwSem, SpinLock, Violation
from mmlocks.machine.task import Place
from mmlocks.mm.frames import Frame
from mmlocks.mm.mm import Mm
from mmlocks.mm.pagetable import Pte
from mmlocks.mm.vma import Vma
from mmlocks.mm.world import World


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
        return ", ".join(f"cpu{cpu}" for cpu in self.readers) + " (read)" if self.readers else "free"

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
    """A VMA with its lock. `write_locked` is "vm_lock_seq equals mm_lock_seq"."""

    name: str
    start: int
    end: int
    lock: Held
    seq: int
    write_locked: bool
    has_anon_vma: bool
    detached: bool
    pages: tuple[Entry, ...]


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


def scene(world: World, run: Run, at: int | None = None) -> Scene:
    """What there is to see after `at` steps (default: after all of them)."""
    at = len(run) if at is None else max(0, min(at, len(run)))
    then = run if at == len(run) else run.at(at)
    violation = then.violation
    held = [lock for lock in locks(world, then.state) if not lock.free]
    return Scene(
        at=at,
        cpus=tuple(_cpu(world, then, violation, held, cpu) for cpu in run.machine.cpus),
        parent=_space(world, world.mm, then.state),
        child=_space(world, world.child, then.state),
        frames=tuple(_frames(world, then.state)),
        violation=violation,
    )


def is_stale(cached: Pte, current: Pte | None) -> bool:
    """Whether a cached translation allows what the page table no longer does."""
    return current is None or cached not in (current, current.wrprotected())


def locks(world: World, state: int) -> Iterator[Held]:
    """Every lock of both address spaces."""
    for mm in (world.mm, world.child):
        yield rwsem(mm.mmap_lock, state)
        yield spin(mm.page_table_lock, state)
        for vma in areas(mm, state):
            yield rwsem(vma.vm_lock, state)
        for lock in mm.page_table.ptl.values():
            yield spin(lock, state)


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
    """The VMAs of an address space, by its tree, and those that are locked though no longer in it."""
    listed = mm.mm_mt.contents(state)
    locked = [
        vma for vma in (*mm.vmas, *mm.spare_vmas) if not rwsem(vma.vm_lock, state).free and vma not in listed
    ]
    return listed + locked


def _cpu(world: World, run: Run, violation: Violation | None, held: list[Held], cpu: int) -> Cpu:
    node = run.machine.node(run.state, cpu)
    why = ""
    if node.step is None:
        status = "done"
    elif violation is not None and violation.oracle != "deadlock":
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


def _space(world: World, mm: Mm, state: int) -> Space:
    seq = mm.mm_lock_seq.of(state)
    entries = {page: _entry(world, mm, page, state) for page in world.pages}
    shown = tuple(_area(vma, entries, seq, state) for vma in areas(mm, state))
    covered = {entry.page for area in shown for entry in area.pages}
    loose = tuple(entry for page, entry in entries.items() if page not in covered and entry.pte is not None)
    return Space(
        "parent" if mm is world.mm else mm.name,
        rwsem(mm.mmap_lock, state),
        seq,
        shown,
        spin(mm.page_table_lock, state),
        loose,
    )


def _area(vma: Vma, entries: dict[int, Entry], mm_seq: int, state: int) -> Area:
    start, end, seq = vma.vm_start.of(state), vma.vm_end.of(state), vma.vm_lock_seq.of(state)
    inside = tuple(entry for page, entry in entries.items() if start <= page * 0x1000 < end)
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
    )


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
    pooled = {frame.name: cpu for (_, cpu), frames in world.memory.pools.items() for frame in frames}
    zero = (
        [world.memory.zero]
        if any(world.mm.page_table.pte[page].of(world.layout.initial) is None for page in world.pages)
        else []
    )
    for frame in (*world.memory.frames, *zero):
        yield Page(
            frame.name,
            frame.refcount.of(state),
            tuple(cell.of(state) for cell in frame.data),
            tuple(_users(world, frame, state)),
            pooled.get(frame.name),
        )


def _users(world: World, frame: Frame, state: int) -> Iterator[str]:
    for mm in (world.mm, world.child):
        for page, cell in mm.page_table.pte.items():
            entry = cell.of(state)
            if entry is not None and entry.frame is frame:
                yield f"{'parent' if mm is world.mm else mm.name} P{page} {'rw' if entry.write else 'ro'}"
    for (cpu, page), cell in world.mm.tlb.cached.items():
        entry = cell.of(state)
        if (
            entry is not None
            and entry.frame is frame
            and is_stale(entry, world.mm.page_table.pte[page].of(state))
        ):
            yield f"cpu{cpu}'s stale TLB {'rw' if entry.write else 'ro'}"
