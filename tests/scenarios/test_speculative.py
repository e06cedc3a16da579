"""Speculative faults: safe where 6.4.0 is not, except beside a stack that grows; what each look at the count is for; what it wins and costs."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from mmlocks.machine import Layout, Machine, Run, SpinLock, Step
from mmlocks.machine.step import footprint_of, parts
from mmlocks.mm import Kernel
from mmlocks.mm.address import address_of
from mmlocks.mm.user import copy_to_user, store
from mmlocks.mm.world import World
from mmlocks.releases import RELEASES, release_named
from mmlocks.scenarios import SCENARIOS, Scenario, check, machine_for
from mmlocks.scenarios.fork_other_vma import OTHER
from mmlocks.search import Budget, possible
from mmlocks.search.exhaustive import explore
from mmlocks.search.verdict import Meter
from tests.labs.banks import FIXES, bank_in
from tests.mm.test_address_space_interleaved import (
    PAIRS,
    SETTINGS,
    Ending,
    Operation,
    ending,
    interleaved,
    nothing_allows_too_much,
    nothing_is_held,
    one_after_another,
    program,
    references_add_up,
)

SPECULATIVE = Kernel(RELEASES["speculative"])
MENDED = Kernel(release_named("speculative+stack_grows_exclusively"))
"""Two faults that let a stack grow under the read lock harm each other without any speculation."""
FORKS = ("fork_lost_store", "fork_torn_snapshot", "fork_other_vma", "young_reproducer")
TORN = "stack_expand_fault"


# -- what is safe, and what is not ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORKS)
def test_a_fault_that_overlaps_fork_abandons(name: str) -> None:
    assert check(SCENARIOS[name], SPECULATIVE).verdict.outcome == "safe"


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_scheme_goes_wrong_only_where_its_kernel_did_before(name: str) -> None:
    """Stacks that grow under mmap_lock held for reading: that is 6.1's, and the count does not tell of it."""
    outcome = check(SCENARIOS[name], SPECULATIVE).verdict.outcome
    assert outcome == check(SCENARIOS[name], "6.1").verdict.outcome
    assert outcome == ("violated" if name in (TORN, "stackrot") else "safe")


def test_the_count_does_not_tell_of_a_stack_that_grows_under_the_read_lock() -> None:
    """The copy has the new vm_start and the old vm_pgoff, and mmap_lock was not held for writing by anybody."""
    found = check(SCENARIOS[TORN], SPECULATIVE)
    assert found.verdict.violation is not None
    assert found.verdict.violation.oracle == "misfiled"
    run = found.run
    assert run is not None
    assert {state_of("mm_seq", found.world, state) for state in run.states} == {6}
    taken = [step.op for step in operations_of(run, cpu=1)]
    assert "file_by_copy" in taken
    assert "down_read" not in taken


def test_under_the_write_lock_it_does() -> None:
    assert check(SCENARIOS[TORN], MENDED).verdict.outcome == "safe"


def state_of(cell: str, world: World, state: int) -> Any:
    return world.layout.named(cell).of(state)


def operations_of(run: Run, cpu: int) -> list[Step]:
    """What one CPU did, `together` taken apart."""
    mine = [taken.step for taken in run.taken if taken.cpu == cpu]
    return [part for step in mine for part in (step.args if step.op == "together" else (step,))]


def on_its_own(run: Run, cpu: int, until: str = "") -> Run:
    """The run goes on with one CPU alone: until it has done such an operation, or to its end."""
    while cpu in run.enabled():
        run = run.step(cpu)
        if until and until in (part.op for part in operations_of(run, cpu)):
            break
    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    "pair", PAIRS, ids=lambda pair: " beside ".join(f"{one.name} {one.page}" for one in pair)
)
def test_every_interleaving_of_two_ends_as_some_order_does(pair: tuple[Operation, ...]) -> None:
    for faulted, cached in SETTINGS:
        strange = interleaved(pair, faulted, cached, MENDED) - set(
            one_after_another(pair, faulted, cached)
        )
        assert not strange, (
            f"{pair}, {faulted=}, {cached=}: no order ends in {min(strange, key=repr)}"
        )


def test_a_spinlock_that_is_held_is_not_waited_for() -> None:
    layout = Layout(2)
    lock, got = SpinLock(layout, "lock"), layout.cell("got", None)

    async def holds() -> None:
        await lock.lock()
        await lock.unlock()

    async def tries() -> None:
        taken = await lock.try_lock()
        await got.set(taken)
        if taken:
            await lock.unlock()

    machine = Machine(layout, [("holds", holds), ("tries", tries)])
    found = explore(machine, Meter(Budget()), stop=False)
    assert not found.violations
    assert {(got.of(state), lock.owner.of(state)) for state in found.endings} == {
        (True, 0),
        (False, 0),
    }
    run = Run.of(machine).step(0).step(1)
    assert run.enabled() == [0, 1]
    assert run.machine.tell(run.states[1], run.taken[1]) == "cannot have lock"


# -- what each line is for --------------------------------------------------------------------------------------------

UNMAP, FORGET, READ_ONLY, FORK = (
    Operation("munmap", 3, 3),
    Operation("forget", 3, 2),
    Operation("mprotect", 3, 1),
    Operation("fork", 0),
)
MAPPED, UNTOUCHED = Operation("store", 3, 1), Operation("store", 4, 2)
PROGRAMS: dict[str, tuple[Operation, ...]] = {
    "a store beside munmap": (UNMAP, UNTOUCHED),
    "a store beside mprotect": (READ_ONLY, UNTOUCHED),
    "a store beside madvise": (FORGET, MAPPED),
    "a store beside fork": (FORK, MAPPED),
    "two first stores": (UNTOUCHED, Operation("store", 4, 3)),
}

BANK = bank_in(FIXES / "speculative.toml")
"""A wrong fix is rejected by these trials, and all others find nothing."""
TRIALS = (*FORKS, *PROGRAMS)


def variant(name: str) -> Kernel:
    return Kernel(RELEASES["speculative"], text=BANK.functions(name))


def judged(trial: str, kernel: Kernel) -> str:
    """Which oracle rejects a kernel in a scenario, or in a program of a world where areas change; "safe" if none does."""
    if trial in SCENARIOS:
        verdict = check(SCENARIOS[trial], kernel).verdict
        assert verdict.outcome != "unproved"
        return verdict.violation.oracle if verdict.violation is not None else "safe"
    operations = PROGRAMS[trial]
    for faulted in (True, False):
        world, machine = program(operations, faulted, False, kernel)
        found = explore(machine, Meter(Budget(2_000_000, 120.0)), reduced=True, stop=False)
        assert not found.reason
        if found.violations:
            return min(found.violations).oracle
        explained = _explained(operations, faulted)
        for state in found.endings:
            if (seen := _judged_ending(world, state, explained)) is not None:
                return seen
    return "safe"


@cache
def _explained(operations: tuple[Operation, ...], faulted: bool) -> set[Ending]:
    return set(one_after_another(operations, faulted, False))


def _judged_ending(world: World, state: int, explained: set[Ending]) -> str | None:
    for oracle in (references_add_up, nothing_is_held):
        if (violation := oracle(world, state)) is not None:
            return violation.oracle
    if state_of("mm_seq", world, state) % 2:
        return "held_at_end"
    try:
        here = ending(world, state)
    except AssertionError:
        return "mapped where no VMA is"
    try:
        nothing_allows_too_much(world, state)
    except AssertionError as problem:
        return "stale_translation" if "stale" in str(problem) else "allows too much"
    return None if here in explained else "no order ends so"


def test_the_bank_is_large_enough() -> None:
    assert len(BANK.that_are("wrong")) >= 8
    assert len(BANK.that_are("right")) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["", *BANK.that_are("right")])
def test_right_variants_are_safe_in_every_trial(name: str) -> None:
    kernel = variant(name) if name else SPECULATIVE
    assert {trial: judged(trial, kernel) for trial in TRIALS} == dict.fromkeys(TRIALS, "safe")


@pytest.mark.parametrize("name", BANK.that_are("wrong"))
def test_wrong_variants_are_rejected(name: str) -> None:
    trial, oracle = next(iter(BANK.fixes[name].rejected.items()))
    assert judged(trial, variant(name)) == oracle


@pytest.mark.slow
@pytest.mark.parametrize("name", BANK.that_are("wrong"))
def test_wrong_variants_are_rejected_where_they_go_wrong_and_nowhere_else(name: str) -> None:
    found = {trial: judged(trial, variant(name)) for trial in TRIALS}
    assert {trial: oracle for trial, oracle in found.items() if oracle != "safe"} == BANK.fixes[
        name
    ].rejected


def test_keeping_off_stacks_does_not_mend_the_kernel_below() -> None:
    """The slow path tears the pair as well, as it did in 6.1: then the fault that is caught holds mmap_lock for reading."""
    run = check(SCENARIOS[TORN], variant("NotOnStacks")).run
    assert run is not None
    taken = [step.op for step in operations_of(run, cpu=1)]
    assert "file_by_copy" not in taken
    assert "down_read" in taken


# -- what it wins, and what it costs ----------------------------------------------------------------------------------


async def touches(world: World) -> None:
    await store(world.mm, address_of(3), 1)


async def nothing(world: World) -> None:
    pass


def undisturbed(release: str) -> tuple[Run, World]:
    """A first store to a page of an area that has others, and nobody else about."""
    world = World(2, {3: None, 4: (6,)}, faulting={0: [3]}, cached={}, slots=1)
    world.map("heap", 3, 4)
    linked = Kernel(RELEASES[release]).link(touches)
    machine = Machine(
        world.layout, [("stores", lambda: linked(world)), ("nothing", lambda: nothing(world))]
    )
    run = on_its_own(Run.of(machine), 0)
    assert machine.finished(run.state)
    return run, world


def locks_written(release: str) -> set[str]:
    run, world = undisturbed(release)
    written = 0
    for step in operations_of(run, 0):
        written |= footprint_of(world.layout, 0, step).writes
    return {cell.name for cell in world.layout.cells if cell.is_lock and written >> cell.index & 1}


def test_an_undisturbed_fault_touches_no_lock_but_its_page_s() -> None:
    """The gain. In Linux each of the others is a counter that all CPUs write to: of the whole address space, or of one VMA."""
    own = {"P3.ptl", "rcu.cpu0"}
    assert locks_written("speculative") == own
    assert locks_written("6.4.3") == {*own, "heap.vm_lock.reader0"}
    assert locks_written("6.1") == {"P3.ptl", "mmap_lock.reader0"}


def test_an_undisturbed_fault_takes_more_steps_than_with_a_lock() -> None:
    """It looks at the count four times, and reads the VMA field by field, which whoever has a lock need not."""
    steps = {release: len(undisturbed(release)[0]) for release in ("speculative", "6.4.3", "6.1")}
    assert steps["speculative"] > steps["6.4.3"] >= steps["6.1"]
    looks = Step("load", (undisturbed("speculative")[1].mm.mm_seq.index,))
    assert operations_of(undisturbed("speculative")[0], 0).count(looks) == 4


@pytest.mark.parametrize(
    ("release", "goes_ahead"), [("6.1", False), ("speculative", False), ("6.4.3", True)]
)
def test_one_count_for_all_makes_a_fault_elsewhere_wait_for_fork(
    release: str, goes_ahead: bool
) -> None:
    machine, world = machine_for(SCENARIOS["fork_other_vma"], Kernel(RELEASES[release]))
    last_copy = world.child.page_table.pte[OTHER]
    witness = possible(
        machine, lambda state: machine.done(state, 1) and last_copy.of(state) is None
    )
    assert witness.found is goes_ahead


def test_a_fault_that_is_abandoned_late_has_worked_for_nothing() -> None:
    """With a lock per VMA fork would have waited for it instead."""

    def pages_allocated(release: str) -> tuple[int, bool]:
        machine, _ = machine_for(SCENARIOS["fork_torn_snapshot"], Kernel(RELEASES[release]))
        run = on_its_own(on_its_own(Run.of(machine), 1, until="alloc_folio"), 0)
        forked = machine.done(run.state, 0)
        run = on_its_own(on_its_own(run, 1), 0)
        assert on_its_own(run, 1).violation is None
        done = [step for step in operations_of(on_its_own(run, 1), 1) if step.op == "alloc_folio"]
        return sum(step.args[1] == 3 for step in done), forked

    assert pages_allocated("speculative") == (2, True)
    assert pages_allocated("6.4.3")[1] is False


def test_the_kernel_s_own_faults_do_not_speculate() -> None:
    """read(2) into a page that was never touched: the fault is the kernel's, and takes mmap_lock at once."""

    async def program(world: World) -> None:
        await copy_to_user(world.mm, 0x3000, 1)

    async def by_itself(world: World) -> None:
        await store(world.mm, 0x3000, 1)

    def operations(thread: Any) -> set[str]:
        def world() -> World:
            made = World(1, pages={3: None}, faulting={0: [3]}, cached={}, slots=1)
            made.map("heap", 3, 3)
            return made

        story = Scenario("test", "", "", (("it", thread),), world, (), {}, "")
        run = Run.of(machine_for(story, Kernel(RELEASES["speculative"]))[0])
        while run.enabled():
            run = run.step(0)
        return {part.op for taken in run.taken for part in parts(taken.step)}

    assert "spin_trylock" in operations(by_itself)
    assert "spin_trylock" not in operations(program)
