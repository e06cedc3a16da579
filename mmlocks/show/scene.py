"""Reads one moment of a run out of the machine's state, as plain data to draw or to write."""

from __future__ import annotations

from collections.abc import Iterator

from mmlocks.machine import Run, RwSem, SpinLock, Violation
from mmlocks.mm.mm_types import FREED, USED, File, Frame, Mm, Pte, Vma
from mmlocks.mm.vm_flags import VM_GROWSDOWN
from mmlocks.mm.world import World
from mmlocks.show.scene_parts import (
    CpuState,
    FileState,
    FrameState,
    LockState,
    PteState,
    Scene,
    SpaceState,
    TlbEntry,
    VmaState,
)
from mmlocks.show.scene_tree import about_to_use, awaited, tree_state


def scene(world: World, run: Run, at: int | None = None) -> Scene:
    """What there is to see after `at` steps of a run (default: after all of them)."""
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
        tree=tree_state(world, then) if has_tree(world) else None,
        files=tuple(
            FileState(
                file.name,
                rwsem(file.i_mmap_rwsem, then.state),
                tuple(map(str, file.i_mmap.of(then.state))),
            )
            for file in world.files.values()
        ),
    )


def has_tree(world: World) -> bool:
    """Whether the tree may change. Where it cannot, it shows no more than the VMAs do."""
    return len(world.mm.mm_mt.nodes.members) > 1


def has_filing(world: World) -> bool:
    """Whether the anon_vma or the index of a page may change.

    They change where a VMA gets its anon_vma, or where it grows or moves.
    """
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


def locks(world: World, state: int) -> Iterator[LockState]:
    """Every lock of both address spaces, and of the files."""
    for mm in world.spaces:
        yield rwsem(mm.mmap_lock, state)
        yield spin(mm.page_table_lock, state)
        for vma in vmas(mm, state):
            yield rwsem(vma.vm_lock, state)
        for lock in mm.page_table.ptl.values():
            yield spin(lock, state)
    for file in world.files.values():
        yield rwsem(file.i_mmap_rwsem, state)


def rwsem(lock: RwSem, state: int) -> LockState:
    """A reader/writer lock in a state."""
    writer = lock.writer.of(state)
    return LockState(
        lock.name,
        writer - 1 if writer else None,
        tuple(cpu for cpu, bit in enumerate(lock.readers) if bit.of(state)),
    )


def spin(lock: SpinLock, state: int) -> LockState:
    """A spinlock in a state."""
    owner = lock.owner.of(state)
    return LockState(lock.name, owner - 1 if owner else None, spinning=True)


def vmas(mm: Mm, state: int) -> list[Vma]:
    """The VMAs in the tree of an address space, then others that are locked or in use.

    A child's VMA that fork has not put into the tree yet is not shown: no CPU can find it.
    """
    listed = mm.mm_mt.contents(state)

    def shown(vma: Vma) -> bool:
        life = vma.life.of(state)
        used = mm.mm_mt.in_rcu and life == USED
        return life != FREED and (used or not rwsem(vma.vm_lock, state).free)

    others = [vma for vma in (*mm.vmas, *mm.spare_vmas) if vma not in listed]
    return listed + [vma for vma in others if shown(vma)]


def _cpu(
    world: World, run: Run, violation: Violation | None, held: list[LockState], cpu: int
) -> CpuState:
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
    return CpuState(
        number=cpu,
        task=run.machine.tasks[cpu].name,
        status=status,
        why=why,
        where=node.answer.where,
        holds=tuple(holds),
        tlb=tuple(_tlb(world, run.state, cpu)),
        in_rcu=world.rcu.sections[cpu].of(run.state) % 2 == 1,
    )


def _tlb(world: World, state: int, cpu: int) -> Iterator[TlbEntry]:
    for (of, page), cell in world.mm.tlb.cached.items():
        entry = cell.of(state)
        if of == cpu and entry is not None:
            yield TlbEntry(page, entry, is_stale(entry, world.mm.page_table.pte[page].of(state)))


def _space(world: World, mm: Mm, run: Run) -> SpaceState:
    state = run.state
    seq = mm.mm_lock_seq.of(state)
    left = {page: _entry(world, mm, page, state) for page in world.pages}
    filing = has_filing(world)
    shown: list[VmaState] = []
    for vma in vmas(mm, state):
        shown.append(_vma(world, vma, left, seq, run, filing))
        left = {page: entry for page, entry in left.items() if entry not in shown[-1].pages}
    if has_tree(world):
        gone = (vma for vma in (*mm.vmas, *mm.spare_vmas) if vma.life.of(state) == FREED)
        shown += [_freed(vma, users) for vma in gone if (users := about_to_use(run, vma))]
    loose = tuple(entry for entry in left.values() if entry.pte is not None)
    return SpaceState(
        _called(world, mm),
        rwsem(mm.mmap_lock, state),
        seq,
        tuple(shown),
        spin(mm.page_table_lock, state),
        loose,
    )


def _called(world: World, mm: Mm) -> str:
    return mm.name if mm is not world.mm else "parent" if world.forks else "process"


def _freed(vma: Vma, users: tuple[int, ...]) -> VmaState:
    """A freed VMA: only a CPU's pointer to it is left."""
    free = LockState(vma.vm_lock.name, None)
    return VmaState(vma.name, 0, 0, free, 0, False, False, True, (), fate="freed", users=users)


def _vma(
    world: World, vma: Vma, entries: dict[int, PteState], mm_seq: int, run: Run, filing: bool
) -> VmaState:
    state = run.state
    start, end, seq = vma.vm_start.of(state), vma.vm_end.of(state), vma.vm_lock_seq.of(state)
    inside = tuple(entry for page, entry in entries.items() if start <= page * 0x1000 < end)
    listed = vma in vma.vm_mm.mm_mt.contents(state)
    fate = "" if listed else "out of the tree" if vma.detached.of(state) else "not in the tree yet"
    if not has_tree(world):
        fate = ""
    if fate:  # of the pages that no other VMA covers, only those that it still maps
        inside = tuple(entry for entry in inside if entry.pte is not None)
    return VmaState(
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
        awaited=awaited(world, state, vma),
    )


def _filing(vma: Vma, state: int) -> str:
    """Where a VMA's pages are filed: its anon_vma, and whether that lists the VMA; or its file."""
    file, anon_vma = vma.vm_file.of(state), vma.anon_vma.of(state)
    if anon_vma is None and file is None:
        return "no anon_vma"
    if anon_vma is None:
        return f"{file}, vm_page_prot {vma.vm_page_prot.text(vma.vm_page_prot.of(state))}"
    return str(anon_vma) + ("" if anon_vma in vma.anon_vma_chain.of(state) else ", not linked")


def _entry(world: World, mm: Mm, page: int, state: int) -> PteState:
    stored = world.truth(state, page) if mm is world.mm and mm.truth else ()
    return PteState(
        page,
        mm.page_table.pte[page].of(state),
        spin(mm.page_table.ptl[page], state),
        stored,
        world.content(mm, state, page),
    )


def _frames(world: World, state: int) -> Iterator[FrameState]:
    pooled = {
        frame.name: cpu for (_, cpu), frames in world.memory.pools.items() for frame in frames
    }
    frames = [*world.memory.frames]
    for file in world.files.values():
        frames += _pages_in_memory(file)
    ptes = world.mm.page_table.pte
    if any(ptes[page].of(world.layout.initial) is None for page in world.pages):
        frames.append(world.memory.zero)
    filing = has_filing(world)
    for frame in frames:
        mapping = frame.mapping.of(state) if filing else None
        yield FrameState(
            frame.name,
            frame.refcount.of(state),
            tuple(cell.of(state) for cell in frame.data),
            tuple(_users(world, frame, state)),
            pooled.get(frame.name),
            f"{mapping} index {frame.index.of(state)}" if mapping is not None else "",
            None if frame.dirty is None else frame.dirty.of(state),
        )


def _pages_in_memory(file: File) -> Iterator[Frame]:
    """A file's pages in memory."""
    for page in range(file.pages):
        frame = file.frame(page)
        if frame is not None:
            yield frame


def _users(world: World, frame: Frame, state: int) -> Iterator[str]:
    """The page-table entries and stale TLB entries that lead to a frame."""
    for mm in world.spaces:
        for page, cell in mm.page_table.pte.items():
            entry = cell.of(state)
            if entry is not None and entry.frame is frame:
                yield f"{_called(world, mm)} P{page} {'rw' if entry.write else 'ro'}"
    for (cpu, page), cell in world.mm.tlb.cached.items():
        entry, current = cell.of(state), world.mm.page_table.pte[page].of(state)
        if entry is not None and entry.frame is frame and is_stale(entry, current):
            yield f"cpu{cpu}'s stale TLB {'rw' if entry.write else 'ro'}"
