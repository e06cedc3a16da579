"""Whether a run went as a story tells it.

A scenario's explanation is true of what happened in a run, not of every run that breaks the same
rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mmlocks.machine import Run, Step, Transition
from mmlocks.machine.step import parts
from mmlocks.mm.mm_types import Vma
from mmlocks.mm.pagecache import writable_from_the_start
from mmlocks.mm.world import World

FORKER = 0
"""The CPU that forks, or changes the address space in another way, in every story."""

Happened = Callable[[World, Run], bool]


def steps(run: Run) -> Iterator[tuple[int, Transition, Step]]:
    """Every operation of a run, with the state before its step, and that step."""
    for before, taken in zip(run.states, run.taken, strict=False):
        for part in parts(taken.step):
            yield before, taken, part


def copied_while_written(world: World, run: Run) -> bool:
    """A page was copied while another CPU's TLB still allowed stores to it.

    Its page-table entry was read-only by then.
    """
    for before, taken, part in steps(run):
        if part.op != "alloc_folio" or part.args[0] is not world.mm or part.args[2] is None:
            continue
        mm, page, old = part.args
        entry = mm.page_table.pte[page].of(before)
        cached = [
            mm.tlb.entry(cpu, page).of(before) for cpu in run.machine.cpus if cpu != taken.cpu
        ]
        stale = any(each is not None and each.write and each.frame is old for each in cached)
        if stale and (entry is None or not entry.write):
            return True
    return False


def fault_during_fork(world: World, run: Run) -> bool:
    """A fault changed an entry of the parent's page table while fork was copying it."""
    forked = [
        number
        for number, (_, taken, part) in enumerate(steps(run))
        if taken.cpu == FORKER and _touches_entry(world, part)
    ]
    return any(
        taken.cpu != FORKER
        and part.op == "set_pte"
        and part.args[0] is world.mm
        and forked[0] < number < forked[-1]
        for number, (_, taken, part) in enumerate(steps(run))
        if forked
    )


def _touches_entry(world: World, part: Step) -> bool:
    entries = {cell.index for cell in world.mm.page_table.pte.values()}
    return part.op == "set_pte" or (part.op == "load" and part.args[0] in entries)


def anon_vma_during_fork(world: World, run: Run) -> bool:
    """A fault gave a VMA its anon_vma between two looks of fork at that VMA."""
    for vma in world.mm.vmas:
        cell = vma.anon_vma
        looks = [
            number
            for number, (_, taken, part) in enumerate(steps(run))
            if taken.cpu == FORKER
            and (
                (part.op == "load" and part.args[0] == cell.index)
                or (part.op == "vm_area_dup" and part.args[1] is vma)
            )
        ]
        if looks and any(
            taken.cpu != FORKER
            and part.op == "store"
            and part.args[0] == cell.index
            and looks[0] < number < looks[-1]
            for number, (_, taken, part) in enumerate(steps(run))
        ):
            return True
    return False


def torn_start_and_offset(world: World, run: Run) -> bool:
    """A page was filed by a vm_start and a vm_pgoff of different moments."""
    for vma in world.mm.vmas:
        moved = {vma.vm_start.index: 0, vma.vm_pgoff.index: 0}
        starts: dict[int, int] = {}
        for _, taken, part in steps(run):
            if part.op == "store" and part.args[0] in moved:
                moved[part.args[0]] += 1
            elif part.op == "load" and part.args[0] == vma.vm_start.index:
                starts[taken.cpu] = moved[vma.vm_start.index]
            elif part.op == "folio_add_new_anon_rmap" and part.args[1] is vma:
                torn = starts.get(taken.cpu, 0) != moved[vma.vm_pgoff.index]
                if torn:
                    return True
    return False


def walked_without_rcu(world: World, run: Run) -> bool:
    """The CPU that met a freed node was in no RCU read section."""
    if not run.taken:
        return False
    cpu, before = run.taken[-1].cpu, run.states[len(run.taken) - 1]
    return world.rcu.sections[cpu].of(before) % 2 == 0


def changed_while_lock_was_given_up(world: World, run: Run) -> bool:
    """cpu0 gave mmap_lock up, and another CPU had it for writing before cpu0 took it again."""
    lock, given_up = world.mm.mmap_lock.writer.index, False
    for _, taken, part in steps(run):
        on_lock = bool(part.args) and part.args[0] == lock
        if on_lock and taken.cpu == FORKER:
            given_up = part.op == "up_read"
        elif on_lock and part.op == "down_write" and given_up:
            return True
    return False


def asked_before_the_lock(world: World, run: Run) -> bool:
    """A CPU saw a VMA's anon_vma before it locked that VMA; when it had the lock, it was gone."""
    for vma in world.mm.vmas:
        seen: set[int] = set()
        for before, taken, part in steps(run):
            if part.op == "load" and part.args[0] == vma.anon_vma.index:
                now = vma.anon_vma.of(before)
                if now is not None:
                    seen.add(taken.cpu)
                elif taken.cpu in seen and vma.vm_lock.readers[taken.cpu].of(before):
                    return True
    return False


def locked_though_detached(world: World, run: Run) -> bool:
    """A CPU locked a VMA that was marked as out of the tree, and went on with its fault."""
    for vma in world.mm.vmas:
        lock = vma.vm_lock
        for number, after in enumerate(run.states[1:]):
            taken = run.taken[number]
            holds = lock.readers[taken.cpu].of(after)
            if holds and vma.detached.of(after) is True and _works_on(vma, taken.step):
                return True
    return False


def _works_on(vma: Vma, step: Step) -> bool:
    """Whether a step belongs to a fault's work, which begins with a look at the page table."""
    entries = {cell.index for cell in vma.vm_mm.page_table.pte.values()}
    return any(part.op == "load" and part.args[0] in entries for part in parts(step))


def anon_vma_before_the_link(world: World, run: Run) -> bool:
    """A page was filed in an anon_vma that its VMA showed already, but was not linked to yet."""
    broken = run.taken[-1] if run.taken else None
    if broken is None:
        return False
    before = run.states[len(run.taken) - 1]
    return any(
        vma.anon_vma.of(before) is not None
        and vma.anon_vma.of(before) not in vma.anon_vma_chain.of(before)
        for vma in world.mm.vmas
    )


def mapped_before_it_was_settled(world: World, run: Run) -> bool:
    """A page was mapped by a vm_page_prot that mmap had not settled yet."""
    for before, _, part in steps(run):
        if part.op != "set_pte" or part.args[2] is None or not part.args[2].write:
            continue
        for vma in world.mm.mm_mt.contents(before):
            flags, file = vma.vm_flags.of(before), vma.vm_file.of(before)
            if vma.vm_page_prot.of(before) != writable_from_the_start(flags, file):
                return True
    return False


def locked_under_a_files_lock(world: World, run: Run) -> bool:
    """A VMA was write-locked by a CPU that held a file's i_mmap_rwsem."""
    locks = {vma.vm_lock.writer.index for vma in (*world.mm.vmas, *world.mm.spare_vmas)}
    files = [file.i_mmap_rwsem.writer for file in world.files.values()]
    return any(
        part.op == "down_write"
        and part.args[0] in locks
        and any(writer.of(before) == taken.cpu + 1 for writer in files)
        for before, taken, part in steps(run)
    )
