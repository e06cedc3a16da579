"""One moment of a run in plain text."""

from __future__ import annotations

from collections.abc import Iterator

from mmlocks.machine import Run
from mmlocks.mm.world import World
from mmlocks.show.scene import scene
from mmlocks.show.scene_parts import (
    CpuState,
    FrameState,
    LockState,
    NodeState,
    PteState,
    Scene,
    SpaceState,
    TreeState,
    VmaState,
    cpus_text,
)
from mmlocks.show.text import WIDTH, paragraph


def state_text(world: World, run: Run, at: int | None = None, width: int = WIDTH) -> str:
    """Everything after `at` steps: CPUs, TLBs, VMAs with their locks, page tables, files, frames.

    The tree of VMAs is told where it may change.
    """
    return scene_text(scene(world, run, at), run, width)


def scene_text(now: Scene, run: Run, width: int = WIDTH) -> str:
    """The same, of a scene that has been read already."""
    lines = paragraph(moment(run, now.at), width)
    for cpu in now.cpus:
        lines += paragraph(f"cpu{cpu.number}  {_doing(cpu)}", width, indent=6)
        for cached in cpu.tlb:
            stale = "  STALE" if cached.stale else ""
            lines.append(f"      TLB  P{cached.page} -> {cached.entry}{stale}")
    further = [*_space(now.parent), *_space(now.child)]
    if now.tree is not None:
        further += _tree(now.tree)
    for file in now.files:
        found = ", ".join(file.mapped) or "no VMA"
        further.append(f"file {file.name}  i_mmap_rwsem: {_lock(file.lock)}; i_mmap: {found}")
    lines += [line for text in further for line in paragraph(text, width, indent=9)]
    for frame in now.frames:
        if frame.count:
            lines += paragraph(_frame(frame), width, indent=4)
    free = [frame.name for frame in now.frames if not frame.count]
    if free:
        lines += paragraph(f"free frames: {', '.join(free)}", width)
    return "\n".join(lines) + "\n"


def moment(run: Run, at: int) -> str:
    """Which moment of a run is shown, in a few words."""
    if at and run.taken[at - 1].violation is not None:
        return f"At step {at} of {len(run)}, which breaks a rule: the state just before it"
    return f"After step {at} of {len(run)}" if at else "Before the first step"


def _doing(cpu: CpuState) -> str:
    if cpu.status == "done":
        return f"{cpu.task}: done"
    place = cpu.where[-1] if cpu.where else None
    at = f" in {place.function} ({place.spot})" if place is not None else ""
    holds = f"; holds {', '.join(cpu.holds)}" if cpu.holds else ""
    rcu = "; in an RCU read section" if cpu.in_rcu else ""
    status = {"blocked": "blocked", "stopped": "stopped"}.get(cpu.status, "can run")
    why = f": {cpu.why}" if cpu.why else ""
    return f"{cpu.task}: {status}{at}{why}{holds}{rcu}"


def _space(space: SpaceState) -> Iterator[str]:
    if not space.vmas and not space.loose:
        return
    held = "" if space.page_table_lock.free else f"; page_table_lock: {space.page_table_lock}"
    yield f"{space.name}  mmap_lock: {_lock(space.lock)}; mm_lock_seq {space.seq}{held}"
    for vma in space.vmas:
        yield f"   {_vma(vma)}"
        for entry in vma.pages:
            yield f"      {_entry(entry)}"
    for entry in space.loose:
        yield f"   in no VMA: {_entry(entry)}"


def _vma(vma: VmaState) -> str:
    if vma.fate == "freed":
        return f"VMA {vma.name}  FREED; {_users(vma.users)}"
    seq = f"vm_lock_seq {vma.seq}" + (", so write-locked" if vma.write_locked else "")
    further = f"; vm_pgoff {vma.pgoff}; {vma.filing}" if vma.filing else ""
    further += "; detached" if vma.detached else ""
    further += f"; {vma.fate}" if vma.fate else ""
    further += f", {_later(vma.awaited)}" if vma.awaited else ""
    return f"VMA {vma.range}  vm_lock: {_lock(vma.lock)}; {seq}{further}"


def _users(cpus: tuple[int, ...]) -> str:
    return f"{cpus_text(cpus)} {'uses' if len(cpus) == 1 else 'use'} it next"


def _later(cpus: tuple[int, ...]) -> str:
    return f"freed when {cpus_text(cpus)} leaves the RCU read section"


def _tree(tree: TreeState) -> Iterator[str]:
    yield f"tree  ma_root -> {tree.root}"
    for node in tree.nodes:
        yield f"   {node}{_fate(node)}"


def _fate(node: NodeState) -> str:
    state = {"root": "", "inner": "", "freed": "FREED", "dead": "DEAD"}.get(node.state, node.state)
    parts = [
        state,
        _later(node.awaited) if node.awaited else "",
        _users(node.users) if node.users else "",
    ]
    return "".join(
        f"; {part}" if node.ranges or index else f"  {part}"
        for index, part in enumerate(parts)
        if part
    )


def _frame(frame: FrameState) -> str:
    words = " ".join(map(str, frame.words))
    users = ", ".join(frame.users) or "no page table"
    filed = f"; filed in {frame.filed}" if frame.filed else ""
    told = f"; its file system was {'' if frame.told else 'not '}told of a store"
    told = "" if frame.told is None else told
    return f"{frame.name}  count {frame.count}, holds {words}: {users}{filed}{told}"


def _entry(entry: PteState) -> str:
    shown = f"P{entry.page} -> {entry.pte or 'nothing'}"
    if not entry.ptl.free:
        shown += f"  (page-table lock: {entry.ptl})"
    if entry.stored and entry.stored != entry.reads:
        stored, reads = (" ".join(map(str, words)) for words in (entry.stored, entry.reads))
        shown += f"  WRONG: the program expects {stored}, memory says {reads}"
    return shown


def _lock(held: LockState) -> str:
    return f"{held} (write)" if held.writer is not None else str(held)
