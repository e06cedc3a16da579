"""What the kernel's own tools would have said of one execution.

The tools are KASAN, KCSAN, lockdep, and the kernel's assertions. None of them looks for harm as
such. KASAN sees a use of freed memory, if that memory is an object of the kernel. KCSAN sees two
CPUs at one variable that nothing keeps apart. lockdep sees the order of locks, and locks that are
never given up. An assertion sees that one lock is not held, at the one place where it stands.

The bug of July 2023 is none of these: it loses user data, through hardware that reads page tables
by itself, while every lock is held that the code asks for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mmlocks.errors import ScenarioTooSmall
from mmlocks.machine import Run, View
from mmlocks.machine.state import Poison, Record
from mmlocks.machine.task import Place as Line
from mmlocks.machine.values import Step
from mmlocks.machine.watch import Access, Part, parts_of
from mmlocks.mm.address import PAGE_SIZE
from mmlocks.mm.mm_types import FREED, Vma
from mmlocks.mm.world import World
from mmlocks.oracles.discipline import NO_ACCESS, Discipline
from mmlocks.oracles.fields import FIELDS, VMA_WRITE, Lock, LockSet
from mmlocks.oracles.holding import GuardedCell, Holding, objects
from mmlocks.oracles.lock_order import kernel_lines, order_of_run
from mmlocks.releases import Release


class Saying(NamedTuple):
    """What one tool says of an execution: whether it found anything, its words, and why."""

    tool: str
    found: bool
    says: str
    why: str

    def __str__(self) -> str:
        return f"{self.tool}: {self.says if self.found else 'silent'}. {self.why}"


class Assertion(NamedTuple):
    """A line that only asserts: here a lock must be held on the VMA of the page at hand.

    `before` is what stood there until `since`.
    """

    function: str
    lock: Lock
    since: str
    before: str
    about: str


ASSERTIONS = (
    Assertion(
        "copy_page_range", VMA_WRITE, "6.6", "mmap_assert_write_locked",
        "who makes a VMA's entries read-only for a child has write-locked the VMA",
    ),
)  # fmt: skip
"""Rules that no field's row expresses."""

ASSERTED = {
    ("vma_start_write", "Vma.vm_lock_seq"): "6.4",
    ("vma_end_write_all", "Mm.mm_lock_seq"): "6.4",
    ("do_vmi_munmap", "Vma.detached"): "6.4",
    ("find_vma", "MapleTree.ma_root"): "6.1",
    ("find_vma", "MapleNode.ranges"): "6.1",
}
"""Functions in which Linux asserts what the table demands of a field.

With each, the release of ours that has the assertion first. Elsewhere the table is stricter.
"""


STEPS_AFTER = 500
"""How many steps an execution is followed after the model stops. A CPU may go round for ever."""


def what_tools_say(world: World, run: Run, release: Release) -> tuple[Saying, ...]:
    """KASAN, KCSAN, lockdep and the assertions on one execution, in this order.

    `release` is the one under which it ran: it decides whether VMA locks are asked for at all.
    """
    run = _gone_on(run)
    taken_parts = tuple(_parts_taken(run))
    return (
        _kasan(world, taken_parts),
        _kcsan(world, taken_parts, release),
        _lockdep(run, taken_parts),
        _assertions(world, taken_parts, release),
    )


class TakenPart(NamedTuple):
    """One part of a step that was taken; in the last step perhaps only tried."""

    cpu: int
    part: Part
    where: tuple[Line, ...]

    @property
    def at(self) -> str:
        """Where in the kernel, for a message."""
        lines = kernel_lines(self.where)
        return f"{lines[-1].function} ({lines[-1].spot})" if lines else "its program"


def _gone_on(run: Run) -> Run:
    """The execution, and what follows if each CPU then runs as far as it can.

    A kernel does not stop where the model does. But the step that broke a rule does not happen in
    the model, so its CPU stays where it is.
    """
    violation = run.taken[-1].violation if run.taken else None
    if violation is not None and violation.oracle == "lock_order":
        run, violation = run.at(len(run) - 1), None  # this step does no harm: take it after all
    stuck = run.cpus[-1] if violation is not None else None
    rest = Run(run.machine, (run.states[-2] if violation is not None else run.state,))
    for _ in range(STEPS_AFTER):
        ready = [cpu for cpu in rest.enabled() if cpu != stuck]
        if not ready:
            break
        try:
            rest = rest.step(ready[0])
        except ScenarioTooSmall:
            break
    return Run(run.machine, (*run.states[:-1], *rest.states), (*run.taken, *rest.taken))


def _parts_taken(run: Run) -> Iterator[TakenPart]:
    machine = run.machine
    for state, taken in zip(run.states, run.taken, strict=False):
        look = View(machine.layout, state, -1, -1)
        for part in parts_of(look, taken.cpu, taken.step):
            yield TakenPart(taken.cpu, part, machine.node(state, taken.cpu).answer.where)


# -- KASAN -----------------------------------------------------------------------------------------


def _kasan(world: World, taken_parts: tuple[TakenPart, ...]) -> Saying:
    """Uses of freed objects of the kernel: VMAs with their locks, and tree nodes.

    Not anon_vmas: their cache is SLAB_TYPESAFE_BY_RCU. KASAN does not check such caches without
    CONFIG_SLUB_RCU_DEBUG (2024; from memory).
    """
    owners = objects(world.layout)
    for taken in taken_parts:
        if taken.part.step.op in NO_ACCESS:
            continue  # the object is not in use yet, or not any more
        for access in taken.part.accesses:
            owner = owners.get(access.cell)
            if owner is not None and _freed(owner, taken.part.before, access):
                does = "write" if access.writes else "read"
                name = world.layout.cells[access.cell].name
                name = f"{name} by cpu{taken.cpu} in {taken.at}"
                says = f"use-after-free: {does} of {name}, after {owner} was freed"
                return Saying("KASAN", True, says, "A freed object of the kernel was used")
    return Saying(
        "KASAN",
        False,
        "",
        "No object of the kernel is used after it was freed; what programs store is not watched",
    )


def _freed(owner: Record, before: View, access: Access) -> bool:
    if isinstance(owner, Vma):
        return bool(before[owner.life.index] == FREED)
    return isinstance(access.found, Poison)


# -- KCSAN -----------------------------------------------------------------------------------------

LEADS = frozenset(
    {"MapleTree.ma_root", "MapleNode.ranges", "Mm.mm_lock_seq", "Mm.mm_seq", "Vma.vm_lock_seq"}
)
"""Marked fields that lead readers: a reader of the stored value sees what its writer did before."""


@dataclass
class _Clocks:
    """Vector clocks: what each CPU knows of the others' progress.

    It learns that from the locks and the lookups that led it here.
    """

    cpus: range
    now: dict[int, list[int]] = field(default_factory=dict)
    given: dict[tuple[int, bool], list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.now = {cpu: [0] * len(self.cpus) for cpu in self.cpus}

    def tick(self, cpu: int) -> None:
        self.now[cpu][cpu] += 1

    def give(self, cpu: int, index: int, shared: bool = False) -> None:
        """What `cpu` did so far comes before what a CPU does after it takes this.

        A lock given up by a reader counts only for a CPU that then takes it alone.
        """
        for kind in (True,) if shared else (True, False):
            old = self.given.setdefault((index, kind), [0] * len(self.cpus))
            self.given[index, kind] = list(map(max, old, self.now[cpu]))

    def take(self, cpu: int, index: int, alone: bool) -> None:
        given = self.given.get((index, alone))
        if given is not None:
            self.now[cpu] = list(map(max, self.now[cpu], given))


class _Use(NamedTuple):
    cpu: int
    time: int
    writes: bool
    place: GuardedCell
    at: str


def _kcsan(world: World, taken_parts: tuple[TakenPart, ...], release: Release) -> Saying:
    """Two accesses of a plain field by two CPUs, one of them a write, that nothing orders.

    Two accesses are ordered by a lock that is given up and taken, or by a tree node or a sequence
    number that is stored, and read by a CPU which goes by it. KCSAN itself does not compute this:
    it waits at an access for another CPU to come by, and finds such a pair if it is lucky. Here it
    always is.

    Two kinds of reports are left out, as they would hide the rest. Up to 6.4.7 vm_lock_seq was read
    and stored plainly (b1f02b95758d marked it), so KCSAN reports a race wherever a fault meets
    vma_start_write. And it is known to report harmless races on the maple tree's nodes.
    """
    clocks, last = _Clocks(range(world.layout.cpus)), dict[int, list[_Use]]()
    judged = Discipline(world.layout, release)
    for taken in taken_parts:
        cpu, step = taken.cpu, taken.part.step
        clocks.tick(cpu)
        _acquire(clocks, cpu, step, taken.part.result)
        for access in taken.part.accesses:
            place = judged.place(cpu, step, access)
            if place is None or place.row.marked:
                if place is not None and place.row.name in LEADS and not access.writes:
                    clocks.take(cpu, access.cell, alone=True)
                continue
            use = _Use(cpu, clocks.now[cpu][cpu], access.writes, place, taken.at)
            for other in last.get(access.cell, []):
                ordered = other.cpu == cpu or other.time <= clocks.now[cpu][other.cpu]
                if not ordered and (other.writes or use.writes):
                    return Saying(
                        "KCSAN",
                        True,
                        _race(other, use),
                        "Neither a lock nor a lookup keeps the two apart, and neither is marked",
                    )
            last.setdefault(access.cell, []).append(use)
        for access in taken.part.accesses:
            place = judged.place(cpu, step, access)
            if place is not None and place.row.name in LEADS and access.writes:
                clocks.give(cpu, access.cell)
        _release(clocks, cpu, step)
    return Saying(
        "KCSAN", False, "", "Whatever two CPUs touched is kept apart by locks, or marked as meant"
    )


def _race(one: _Use, other: _Use) -> str:
    kinds = {True: "writes", False: "reads"}
    return (
        f"data race on {other.place.cell.name}: cpu{one.cpu} {kinds[one.writes]} it in {one.at}, "
        f"cpu{other.cpu} {kinds[other.writes]} it in {other.at}"
    )


def _acquire(clocks: _Clocks, cpu: int, step: Step, result: Any) -> None:
    if step.op in ("spin_lock", "spin_trylock", "down_write", "down_read") and result is not False:
        clocks.take(cpu, step.args[0], alone=step.op != "down_read")


def _release(clocks: _Clocks, cpu: int, step: Step) -> None:
    if step.op in ("spin_unlock", "up_write", "downgrade_write", "up_read"):
        clocks.give(cpu, step.args[0], shared=step.op == "up_read")


# -- lockdep ---------------------------------------------------------------------------------------


def _lockdep(run: Run, taken_parts: tuple[TakenPart, ...]) -> Saying:
    """What lockdep reports of this execution.

    A cycle in the order in which it took kinds of locks, a task that returned with a lock, or an
    unprotected walk over the tree.

    The last with CONFIG_PROVE_RCU: the tree's root is read with rcu_dereference_check, which
    demands mmap_lock or an RCU read section.
    """
    order, holds = order_of_run(run)
    cycle = order.cycle(lockdep=True)
    if cycle:
        kinds = " -> ".join([cycle[0].held.kind, *(edge.wanted.kind for edge in cycle)])
        return Saying(
            "lockdep",
            True,
            f"possible circular locking dependency: {kinds}. {'; '.join(map(str, cycle))}",
            "Two kinds of locks are taken in both orders",
        )
    for cpu, held in holds.items():
        kept = [lock for lock in held if lock.real]
        if kept and run.machine.done(run.state, cpu):
            says = f"cpu{cpu} returns and still holds {kept[0]}, taken in {kept[0].site}"
            return Saying("lockdep", True, says, "A lock is held where none may be")
    for taken in taken_parts:
        if taken.part.step.op == "mas_start" and not _protected(taken):
            says = f"suspicious RCU usage: cpu{taken.cpu} reads the root of the tree in {taken.at}"
            return Saying(
                "lockdep", True, says, "It holds neither mmap_lock nor is it in an RCU read section"
            )
    return Saying("lockdep", False, "", "Every kind of lock is taken in one order, and given up")


def _protected(taken: TakenPart) -> bool:
    """Whether a walk over the tree is protected by anything at all."""
    mm, view, cpu = taken.part.step.args[0], taken.part.before, taken.cpu
    lock = mm.mmap_lock
    locked = view[lock.writer.index] == cpu + 1 or view[lock.readers[cpu].index]
    return bool(locked or view[mm.rcu.sections[cpu].index] % 2 or not mm.mm_mt.in_rcu)


# -- assertions ------------------------------------------------------------------------------------


def _assertions(world: World, taken_parts: tuple[TakenPart, ...], release: Release) -> Saying:
    """The first place where an assertion would fire.

    First one that Linux has today, else one at any access that the table judges.
    """
    holding = Holding(world.layout, release)
    for taken in taken_parts:
        if taken.part.step.op == "mmap_assert_write_locked" and taken.part.broke is not None:
            says = f"mmap_assert_write_locked in {taken.at} fires on cpu{taken.cpu}"
            return Saying(
                "assertions", True, says, "Linux has it there since 6.4, and the model as well"
            )
        for assertion in ASSERTIONS:
            place = _asserted(taken, assertion)
            if place is not None and not holding.holds(
                taken.part.before, taken.cpu, assertion.lock, place
            ):
                line = next(line for line in taken.where if line.function == assertion.function)
                asserted = place.words(assertion.lock.asserted)
                says = f"{asserted} in {line.function} ({line.spot}) fires on cpu{taken.cpu}"
                why = (
                    f"Linux has it there since {assertion.since}; before, {assertion.before} "
                    f"stood there, and was content. The rule: {assertion.about}"
                )
                return Saying("assertions", True, says, why)
    judged = Discipline(world.layout, release)
    for taken in taken_parts:
        for access in taken.part.accesses:
            place = judged.place(taken.cpu, taken.part.step, access)
            missing = (
                judged.missing(taken.part.before, taken.cpu, access) if place is not None else ()
            )
            if place is not None and any(missing):
                return _fires(taken, place, access, missing)
    return Saying(
        "assertions",
        False,
        "",
        "Wherever a field is used, the locks that the table demands are held",
    )


def _asserted(taken: TakenPart, assertion: Assertion) -> GuardedCell | None:
    """The VMA that an assertion is about here; None if the assertion is not reached."""
    step = taken.part.step
    inside = any(line.function == assertion.function for line in taken.where)
    if not inside or step.op != "set_pte" or not step.args[0].mm_mt.in_rcu:
        return None
    mm, address, before = step.args[0], step.args[1] * PAGE_SIZE, taken.part.before
    for vma in mm.mm_mt.contents(before.state + before.delta):
        if before[vma.vm_start.index] <= address < before[vma.vm_end.index]:
            return GuardedCell(vma.vm_start, FIELDS["Vma.vm_start"], vma, mm, vma)
    return None


def _fires(
    taken: TakenPart, place: GuardedCell, access: Access, missing: tuple[LockSet, ...]
) -> Saying:
    asserted = " or ".join(
        " and ".join(place.words(lock.asserted) for lock in each) for each in missing
    )
    does = "writes" if access.writes else "reads"
    found = (ASSERTED.get((line.function, place.row.name)) for line in taken.where)
    since = next(filter(None, found), None)
    has = (
        f"Linux asserts it there since {since}"
        if since
        else "Linux asserts nothing there; the table demands it"
    )
    says = f"{asserted} in {taken.at} fires on cpu{taken.cpu}, which {does} {place.cell.name}"
    return Saying("assertions", True, says, has)


def tools_text(sayings: tuple[Saying, ...]) -> str:
    """One line for each tool."""
    width = max(len(saying.tool) for saying in sayings)
    return "\n".join(
        f"{saying.tool:<{width}}  {saying.says if saying.found else 'silent'}. {saying.why}."
        for saying in sayings
    )
