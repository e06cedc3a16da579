"""The table of fields and locks, the oracle that judges by it, and watches in general."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest

from mmlocks.errors import UndeclaredAccess
from mmlocks.machine import (
    Cell,
    Layout,
    Machine,
    Run,
    RwSem,
    SpinLock,
    Step,
    View,
    Violation,
    together,
)
from mmlocks.machine.machine import Watch
from mmlocks.machine.task import Place
from mmlocks.machine.watch import parts_of
from mmlocks.mm import Kernel
from mmlocks.mm.mm_types import Mm, Vma
from mmlocks.mm.world import World
from mmlocks.oracles.discipline import Discipline
from mmlocks.oracles.fields import FIELDS, ROWS, field_table, protected_by
from mmlocks.releases import NEWEST, RELEASES, release_named
from mmlocks.scenarios import SCENARIOS, check
from mmlocks.scenarios.checking import machine_for
from mmlocks.search import Budget
from mmlocks.search.exhaustive import explore
from mmlocks.search.verdict import Meter
from tests.helpers import outcome
from tests.mm import test_address_space_interleaved as interleaved
from tests.mutated import mutated

# -- the table --------------------------------------------------------------------------------------------------------


def small_world() -> World:
    made = World(1, pages={3: (5,)}, faulting={}, cached={}, slots=1)
    made.map("heap", 3, 3)
    return made


def documented(record: type) -> set[str]:
    """The fields that a class's docstring lists, with what protects them."""
    text = (
        inspect.cleandoc(record.__doc__ or "")
        .partition("protects")[2]
        .partition(":\n")[2]
        .split("\n\n")[0]
    )
    names = re.findall(r"^ {2}(\w[\w, ]*?)  +\S", text, re.MULTILINE)
    return {name for line in names for name in line.split(", ")}


@pytest.mark.parametrize("record", [Vma, Mm], ids=lambda record: record.__name__)
def test_every_field_has_a_row_and_every_row_a_field(record: type) -> None:
    world = small_world()
    thing = world.mm.vmas[0] if record is Vma else world.mm
    shared = {
        name
        for name, value in vars(thing).items()
        if isinstance(value, Cell | RwSem | SpinLock) and not getattr(value, "hidden", False)
    }
    structures = {"mm_mt", "page_table"} if record is Mm else set()
    assert {row.field for row in ROWS if row.record == record.__name__} == shared | structures


@pytest.mark.parametrize("record", [Vma, Mm], ids=lambda record: record.__name__)
def test_the_table_and_the_docstring_speak_of_the_same_fields(record: type) -> None:
    rows = {row.field for row in ROWS if row.record == record.__name__}
    assert len(documented(record)) > 5
    assert documented(record) == rows - ({"vm_lock"} if record is Vma else set())


def test_a_field_is_protected_by_what_pictures_can_say() -> None:
    assert protected_by("Vma", "vm_flags") == (
        "written with mmap_lock for writing and the VMA write lock, unless not in the tree yet or taken out of the tree; "
        "read with mmap_lock, or the VMA lock"
    )
    assert (
        protected_by("Mm", "mm_lock_seq")
        == "written with mmap_lock for writing; read without a lock"
    )
    assert protected_by("Vma", "vm_lock") == "a lock"
    assert "from empty: mmap_lock and page_table_lock" in protected_by("Vma", "anon_vma")


def test_the_table_prints_itself() -> None:
    plain, markdown = field_table().splitlines(), field_table(markdown=True).splitlines()
    assert len(plain) == len(ROWS) + 1
    assert len(markdown) == len(ROWS) + 2
    assert all(
        row.name in line and row.source in line for row, line in zip(ROWS, plain[1:], strict=True)
    )
    assert {line.count("|") for line in markdown} == {4}
    assert len(FIELDS) == len(ROWS)


# -- the oracle -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_newest_release_keeps_the_discipline(name: str) -> None:
    verdict = check(SCENARIOS[name], NEWEST, also=("discipline", "lock_order")).verdict
    assert verdict.violation is None
    assert verdict.states == check(SCENARIOS[name], NEWEST).verdict.states, (
        "a watch costs the reduction nothing"
    )


@pytest.mark.parametrize("release", ["6.1", "6.3", "disabled", "reverted", "speculative"])
@pytest.mark.parametrize("name", ["fork_lost_store", "munmap_downgrade", "merge_dup_anon_vma"])
def test_without_vma_locks_nobody_demands_them(name: str, release: str) -> None:
    assert check(SCENARIOS[name], release, also=("discipline",)).verdict.outcome == "safe"


CHECKED = "anon_vma_checked_locked"
"""Else it is the first thing to be found, wherever there are faults."""

SPEAKS = (
    ("stack_expand_fault", f"6.4.1+{CHECKED}", "stack_locks_vma", "cpu0 writes stack.vm_start without the VMA write lock, in expand_downwards (mm/stack.py:"),
    ("stack_expand_fault", "6.3", "stack_grows_exclusively", "cpu0 writes stack.vm_start without mmap_lock for writing, in expand_downwards (mm/stack.py:"),
    ("stackrot", "6.3", "stack_grows_exclusively", "cpu0 writes upper.vm_start without mmap_lock for writing, in expand_downwards (mm/stack.py:"),
    ("fork_other_vma", "6.4.0", CHECKED, "cpu1 reads stack.anon_vma without mmap_lock or the VMA lock, in lock_vma_under_rcu (mm/vma_lock.py:"),
    ("fork_other_vma", "6.4.8", CHECKED, "cpu1 reads stack.anon_vma without mmap_lock or the VMA lock, in lock_vma_under_rcu (mm/vma_lock.py:"),
    ("merge_dup_anon_vma", f"6.4.3+{CHECKED}", "merge_locks_first", "cpu0 writes left.anon_vma without page_table_lock or the VMA write lock, in commit_merge (mm/syscalls/merge.py:"),
    ("publish_early", "6.6-like-new_vma_locked", "new_vma_locked", "cpu0 writes vma0.vm_page_prot without the VMA write lock, in vma_set_page_prot (mm/"),
)  # fmt: skip


@pytest.mark.parametrize(("name", "release", "repair", "says"), SPEAKS)
def test_a_bug_breaks_the_discipline_and_its_repair_keeps_it(
    name: str, release: str, repair: str, says: str
) -> None:
    checked = check(SCENARIOS[name], release, also=("discipline",))
    violation = checked.verdict.violation
    assert violation is not None
    assert violation.oracle == "discipline"
    assert violation.message.startswith(says)
    assert violation.message.endswith("first; the table is in mmlocks fields.")
    assert checked.run is not None and checked.run.violation == violation
    repaired = check(
        SCENARIOS[name], release_named(release).with_patch(repair), also=("discipline",)
    )
    assert repaired.verdict.outcome == "safe", repaired.verdict.violation


def test_a_harmless_slip_breaks_it_too() -> None:
    """Nobody is hurt in 6.4.1 when a stack grows here; the rule is broken all the same."""
    release = release_named(f"6.4.1+{CHECKED}")
    assert check(SCENARIOS["stackrot"], release).verdict.outcome == "safe"
    assert check(SCENARIOS["stackrot"], release, also=("discipline",)).verdict.outcome == "violated"


SLIPS = (
    ("munmap", "await vma_start_write(vma)", "pass", "detached without the VMA write lock, in do_vmi_munmap"),
    ("mprotect", "await vma_start_write(vma)", "pass", "heap.vm_flags without the VMA write lock, in mprotect_fixup"),
    ("split", "await vma_start_write(vma)", "pass", "without the VMA write lock, in split_in_two"),
    ("fork", "_, entry = await together(ptl.lock(), oldmm.page_table.pte[page])", "entry = await oldmm.page_table.pte[page]", "P3 without the page-table lock, in copy_present_pte"),
)  # fmt: skip
OF_FILE = {
    "munmap": interleaved.Operation("munmap", 3, 3),
    "mprotect": interleaved.Operation("mprotect", 3, 1),
    "split": interleaved.Operation("munmap", 4, 1),
    "fork": interleaved.Operation("fork", 0),
}


@pytest.mark.parametrize(("file", "line", "instead", "says"), SLIPS)
def test_a_single_cpu_is_enough_to_break_it(file: str, line: str, instead: str, says: str) -> None:
    """A slip is seen where it is made; nobody need come by."""
    kernel = Kernel(NEWEST, text=mutated(file, line, instead))
    found = searched((OF_FILE[file],), faulted=True, kernel=kernel)
    assert found.violation is not None
    assert found.violation.oracle == "discipline"
    assert says in found.violation.message
    assert searched((OF_FILE[file],), faulted=True).violation is None


def test_a_vma_that_was_cut_out_is_not_taken_for_one_that_is_not_in_yet() -> None:
    """A merge swallows its neighbour and write-locks only the VMA that stays: whoever has read-locked the other works on what will be freed."""
    line = "for part in (target, *gone, *([rest] if rest else [])):"
    kernel = Kernel(
        NEWEST, text=mutated("merge", line, "for part in (target, *([rest] if rest else [])):")
    )
    for linked, expected in ((kernel, "violated"), (Kernel(NEWEST), "safe")):
        verdict = check(SCENARIOS["merge_dup_anon_vma"], linked, also=("discipline",)).verdict
        assert verdict.outcome == expected
    violation = check(
        SCENARIOS["merge_dup_anon_vma"], kernel, also=("discipline",)
    ).verdict.violation
    assert violation is not None
    assert violation.message.startswith("cpu0 writes right.anon_vma without the VMA write lock")


def searched(
    operations: tuple[Any, ...],
    faulted: bool,
    kernel: Kernel | None = None,
    reduced: bool = True,
    watched: bool = True,
) -> Any:
    """A program of the interleaving tests, searched with the watch switched on."""
    kernel = kernel or Kernel(NEWEST)
    world, machine = interleaved.program(operations, faulted, cached=faulted, kernel=kernel)
    watches = [Discipline(world.layout, kernel.release)] if watched else []
    machine = Machine(
        world.layout, [(task.name, task._supplier) for task in machine.tasks], watches=watches
    )
    found = explore(machine, Meter(Budget(2_000_000, 120.0)), reduced=reduced)
    assert not found.reason, found.reason
    return found


SAMPLE = interleaved.PAIRS[::9]


@pytest.mark.parametrize(
    "pair", SAMPLE, ids=lambda pair: " beside ".join(f"{one.name} {one.page}" for one in pair)
)
def test_pairs_of_operations_keep_the_discipline(pair: tuple[Any, ...]) -> None:
    for faulted in (False, True):
        assert searched(pair, faulted).violation is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "pair",
    interleaved.PAIRS,
    ids=lambda pair: " beside ".join(f"{one.name} {one.page}" for one in pair),
)
def test_all_pairs_of_operations_keep_the_discipline(pair: tuple[Any, ...]) -> None:
    for faulted in (False, True):
        assert searched(pair, faulted).violation is None


@pytest.mark.parametrize("release", ["6.4.0", "6.4.1", "6.4.3", "6.4.10", "6.3"])
@pytest.mark.parametrize(
    "name", ["fork_other_vma", "stack_expand_fault", "merge_dup_anon_vma", "publish_early"]
)
def test_reduction_loses_nothing_of_what_a_watch_sees(name: str, release: str) -> None:
    def build() -> Machine:
        return machine_for(SCENARIOS[name], Kernel(RELEASES[release]), also=("discipline",))[0]

    assert outcome(build(), reduced=True) == outcome(build(), reduced=False)


def test_a_vma_that_somebody_else_has_write_locked_is_not_mine_to_read() -> None:
    world = World(2, pages={3: (5,)}, faulting={}, cached={}, slots=1)
    heap, kernel = world.map("heap", 3, 3), Kernel(NEWEST)

    async def locks() -> None:
        await kernel.mmap_write_lock(world.mm)
        await kernel.vma_start_write(heap)
        await heap.vm_flags.set(0)

    async def reads() -> None:
        await heap.vm_flags

    machine = Machine(
        world.layout,
        [("locks", locks), ("reads", reads)],
        watches=[Discipline(world.layout, NEWEST)],
    )
    run = Run.of(machine)
    while 0 in run.enabled():
        run = run.step(0)
    assert run.violation is None
    violation = run.step(1).violation
    assert violation is not None and violation.message.startswith(
        "cpu1 reads heap.vm_flags without mmap_lock or the VMA lock"
    )


# -- watches ----------------------------------------------------------------------------------------------------------


class Toy:
    """A watch made of two functions."""

    def __init__(self, looks: int, judge: Callable[[View, int, Step], str | None]) -> None:
        self._looks, self._judge = looks, judge

    def looks_at(self, cpu: int, step: Step) -> int:
        return self._looks

    def judge(self, view: View, cpu: int, step: Step, where: tuple[Place, ...]) -> Violation | None:
        message = self._judge(view, cpu, step)
        return None if message is None else Violation("toy", message)


def toy(make: Callable[[Any, Any], Watch]) -> Machine:
    """cpu0 stores to a cell of its own; cpu1 takes a lock and gives it up."""
    layout = Layout(2)
    cell, lock = layout.cell("cell", 0), SpinLock(layout, "lock")

    async def store() -> None:
        await cell.set(1)

    async def hold() -> None:
        await lock.lock()
        await lock.unlock()

    return Machine(layout, [("store", store), ("hold", hold)], watches=[make(cell, lock)])


def test_a_judgement_that_others_can_change_is_not_sound() -> None:
    """Whoever writes such a watch must keep the condition in its docstring: else the reduced search does not see what the whole one sees."""

    def make(cell: Any, lock: Any) -> Watch:
        def judge(view: View, cpu: int, step: Step) -> str | None:
            held = step.op == "store" and view[lock.owner.index] == 2
            return "stores while somebody else holds the lock" if held else None

        return Toy(1 << lock.owner.index, judge)

    assert outcome(toy(make), reduced=False).violated
    assert not outcome(toy(make), reduced=True).violated


def test_a_watch_sees_what_it_asked_for_and_nothing_else() -> None:
    def make(cell: Any, lock: Any) -> Watch:
        return Toy(
            0, lambda view, cpu, step: str(view[lock.owner.index]) if step.op == "store" else None
        )

    with pytest.raises(UndeclaredAccess, match="lock"):
        Run.of(toy(make)).step(0)


def test_what_a_watch_looks_at_stays_out_of_the_footprint() -> None:
    machine = toy(lambda cell, lock: Toy(1 << lock.owner.index, lambda view, cpu, step: None))
    node = machine.tasks[0].nodes[0]
    owner = machine.layout.named("lock")
    assert not (node.footprint.reads | node.footprint.writes) >> owner.index & 1
    assert node.project & owner.mask == owner.mask


def test_where_nobody_watches_nothing_is_looked_at() -> None:
    machine, _ = machine_for(SCENARIOS["fork_lost_store"], Kernel(NEWEST))
    watched, _ = machine_for(SCENARIOS["fork_lost_store"], Kernel(NEWEST), also=("discipline",))
    assert all(node.looks == 0 for task in machine.tasks for node in task.nodes)
    for cpu in machine.cpus:
        run, other = Run.of(machine), Run.of(watched)
        assert run.step(cpu).state == other.step(cpu).state


def test_a_blocked_step_is_not_judged() -> None:
    layout = Layout(2)
    cell, lock = layout.cell("cell", 0), SpinLock(layout, "lock")
    step = together(cell.set(1), lock.lock())
    free = View(layout, layout.initial, -1, -1)
    assert [part.step.op for part in parts_of(free, 0, step)] == ["store", "spin_lock"]
    assert free.delta == 0
    taken = View(layout, layout.initial, -1, -1)
    taken[lock.owner.index] = 2
    assert parts_of(View(layout, layout.initial + taken.delta, -1, -1), 0, step) == ()


def test_parts_are_seen_one_after_another() -> None:
    """What the first part took, the second one holds."""
    layout = Layout(1)
    cell, lock = layout.cell("cell", 0), SpinLock(layout, "lock")
    first, second = parts_of(
        View(layout, layout.initial, -1, -1), 0, together(lock.lock(), cell.load())
    )
    assert first.before[lock.owner.index] == 0
    assert second.before[lock.owner.index] == 1
    assert [(access.cell, access.writes) for access in second.accesses] == [(cell.index, False)]
