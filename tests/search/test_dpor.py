"""Dynamic partial-order reduction follows every distinct execution, and follows it once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given, settings

from mmlocks.errors import ModelError
from mmlocks.machine import Layout, Machine, Run, RwSem, SpinLock, Violation, require
from mmlocks.scenarios import SCENARIOS, check, machine_for
from mmlocks.scenarios.checking import as_kernel
from mmlocks.search import Budget, Dpor, Exploration, Progress, dpor, judge
from mmlocks.search.verdict import Meter
from tests.helpers import Build, each, tasks_on_cells
from tests.machine.programs import PROGRAMS, increment, lock_order, peterson, readers_and_writer
from tests.machine.random_programs import machine, programs
from tests.search.distinct import executions, interleavings
from tests.search.families import filesystem, indexer, lastzero, readers


def explored(
    searched: Machine, stop: bool = False, progress: Progress | None = None, most: int = 10_000_000
) -> Exploration:
    """What DPOR sees of a machine; `most` steps are taken."""
    return Dpor().explore(searched, Meter(Budget(most, 300.0), progress), stop)


# -- how many ---------------------------------------------------------------------------------------------------------

PUBLISHED = {
    "readers(2)": (lambda: readers(2), 4),
    "readers(8)": (lambda: readers(8), 256),
    "readers(10)": (lambda: readers(10), 1_024),
    "lastzero(5)": (lambda: lastzero(5), 64),
    "lastzero(10)": (lambda: lastzero(10), 3_328),
    "indexer(11)": (lambda: indexer(11), 1),
    "indexer(12)": (lambda: indexer(12), 8),
    "indexer(13)": (lambda: indexer(13), 64),
    "filesystem(13)": (lambda: filesystem(13), 1),
    "filesystem(14)": (lambda: filesystem(14), 2),
    "filesystem(16)": (lambda: filesystem(16), 8),
    "filesystem(18)": (lambda: filesystem(18), 32),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_family_has_as_many_executions_as_published(name: str) -> None:
    build, count = PUBLISHED[name]
    assert explored(build()).executions == count


SMALL_FAMILIES: dict[str, Build] = {
    **{f"readers({count})": lambda count=count: readers(count) for count in range(1, 5)},
    **{f"lastzero({count})": lambda count=count: lastzero(count) for count in range(1, 5)},
    "indexer(2, 2, 1)": lambda: indexer(2, slots=2, messages=1),
    "indexer(3, 3, 1)": lambda: indexer(3, slots=3, messages=1),
    "indexer(2, 5, 2)": lambda: indexer(2, slots=5, messages=2),
    "filesystem(2, 2, 2)": lambda: filesystem(2, inodes=2, blocks=2),
    "filesystem(2, 1, 1)": lambda: filesystem(2, inodes=1, blocks=1),
    "filesystem(3, 1, 2)": lambda: filesystem(3, inodes=1, blocks=2),
}


@pytest.mark.parametrize("name", SMALL_FAMILIES)
def test_a_small_family_has_as_many_executions_as_its_interleavings_fall_into(name: str) -> None:
    searched = SMALL_FAMILIES[name]()
    by_hand = set(interleavings(searched))
    assert explored(searched).executions == len(by_hand)
    assert executions(searched).keys() == by_hand


def writing(cpus: int, how: str) -> Machine:
    """Every CPU writes to one cell, under a lock or without."""
    layout = Layout(cpus)
    cell, lock, sem = layout.cell("cell", 0), SpinLock(layout, "lock"), RwSem(layout, "sem")

    async def plainly(cpu: int) -> None:
        await cell.set(cpu)

    async def locked(cpu: int) -> None:
        await lock.lock()
        await cell.set(cpu)
        await lock.unlock()

    async def write_locked(cpu: int) -> None:
        await sem.down_write()
        await cell.set(cpu)
        await sem.up_write()

    async def read_locked(cpu: int) -> None:
        await sem.down_read()
        await cell
        await sem.up_read()

    tasks = {task.__name__: task for task in (plainly, locked, write_locked, read_locked)}
    return Machine(layout, each(tasks[how], cpus))


@pytest.mark.parametrize(
    ("how", "count"), [("plainly", 24), ("locked", 24), ("write_locked", 24), ("read_locked", 1)]
)
def test_four_cpus_come_in_any_order_if_their_order_matters(how: str, count: int) -> None:
    """4! orders; a blocked CPU must be let in before the one that held the lock, and readers do not disturb each other."""
    assert explored(writing(4, how)).executions == count


def test_a_reader_comes_before_or_after_a_writer() -> None:
    """Three readers, each before or after: 2**3."""
    assert explored(readers_and_writer(readers=3)).executions == 8


FINITE = [
    name
    for name in PROGRAMS
    if not name.startswith(("peterson", "dekker", "bakery", "message", "spinner"))
]


@pytest.mark.parametrize("name", FINITE)
def test_a_program_has_as_many_executions_as_its_interleavings_fall_into(name: str) -> None:
    assert explored(PROGRAMS[name].build()).executions == len(
        set(interleavings(PROGRAMS[name].build()))
    )


@given(programs(spinning=False))
@settings(max_examples=200)
def test_a_random_program_has_as_many_executions_as_by_definition(program: Any) -> None:
    by_hand = executions(machine(program), most=5_000)
    assume(by_hand is not None)
    assert explored(machine(program)).executions == len(by_hand)


def in_vain(searched: Machine) -> int:
    """How often, in the first steps, all who could run are asleep: each time, what led there has been followed before."""
    found = 0
    arrive = dpor._Search.arrive

    def watched(search: Any, here: Any) -> None:
        nonlocal found
        planned = bool(here.plan)
        arrive(search, here)
        found += not planned and not here.plan and any(search.able(here))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dpor._Search, "arrive", watched)
        explored(searched, most=20_000)
    return found


@pytest.mark.parametrize("name", ["readers(8)", "lastzero(5)", "indexer(12)", "filesystem(16)"])
def test_nothing_is_followed_in_vain(name: str) -> None:
    """What is optimal about it."""
    assert in_vain(PUBLISHED[name][0]()) == 0


@given(programs())
@settings(max_examples=100)
def test_nothing_of_a_random_program_is_followed_in_vain(program: Any) -> None:
    assert in_vain(machine(program)) == 0


# -- what goes wrong --------------------------------------------------------------------------------------------------


async def stumbles(a, b, c, out):
    """Breaks a rule unless the other was faster."""
    await require(await a == 1, "test", "is too early")
    await out.set("went well")


async def prepares(a, b, c, out):
    await b.set(1)
    await a.set(1)


def test_where_one_execution_goes_wrong_the_others_are_followed_all_the_same() -> None:
    """The first execution breaks a rule before cpu1 has done anything, and still it is found that the two race."""
    searched = tasks_on_cells(stumbles, prepares)()
    found = explored(searched)
    assert (found.executions, len(found.endings), len(found.violations)) == (2, 1, 1)


def test_only_a_rule_that_is_broken_first_is_reported() -> None:
    """After cpu0 has broken one, cpu1 breaks another. No execution goes that far."""

    async def first(a, b, c, out):
        await a.set(1)
        await require(False, "test", "is first")

    async def second(a, b, c, out):
        await b.wait_for(1)
        await require(False, "test", "is second")

    async def third(a, b, c, out):
        await b.wait_for(0)
        await require(False, "test", "is third")

    reported = {
        violation.message
        for violation in explored(tasks_on_cells(first, second, third)()).violations
    }
    assert reported == {"cpu0: is first", "cpu2: is third"}


@pytest.mark.parametrize("name", [name for name, program in PROGRAMS.items() if program.breaks])
def test_it_stops_at_the_first_violation_and_knows_the_way_there(name: str) -> None:
    found = explored(PROGRAMS[name].build(), stop=True)
    assert found.violation is not None and found.schedule is not None
    assert found.outcome == "violated"
    assert found.executions >= 1
    run = Run.replay(PROGRAMS[name].build(), found.schedule)
    assert run.violation == found.violation
    assert run.at(len(run) - 1).violation is None


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_knows_the_answer(name: str) -> None:
    verdict = judge(PROGRAMS[name].build(), strategy=Dpor())
    found = verdict.violation.oracle if verdict.violation else ""
    assert (verdict.outcome, found) == (
        "violated" if PROGRAMS[name].breaks else "safe",
        PROGRAMS[name].breaks,
    )


def test_a_task_that_goes_wrong_before_its_first_step() -> None:
    async def bad(a, b, c, out):
        raise ValueError("bad from the start")

    found = explored(tasks_on_cells(bad)())
    assert found.violation is not None
    assert "bad from the start" in found.violation.message
    assert found.schedule == ()


def test_a_deadlock_is_found_where_the_order_of_locks_is_not_agreed() -> None:
    found = explored(lock_order(cpus=3))
    assert [violation.oracle for violation in found.violations] == ["deadlock"]
    assert len(found.endings) == 1


def test_who_waits_in_vain_might_have_been_first() -> None:
    """Nobody gives the lock back. The step of the other is never taken, and still it races with the first one's."""
    layout = Layout(cpus=2)
    lock = SpinLock(layout, "lock")

    async def take(cpu: int) -> None:
        await lock.lock()

    found = explored(Machine(layout, each(take, 2)))
    assert (found.executions, len(found.violations)) == (2, 2)


# -- loops ------------------------------------------------------------------------------------------------------------


def test_a_spin_loop_has_finitely_many_executions() -> None:
    """Only one is counted: cpu0 looks when the flag is up. To look before that, and then once more, adds nothing."""

    async def spin(a, b, c, out):
        while True:
            if await a:
                break

    async def write(a, b, c, out):
        await a.set(1)

    found = explored(tasks_on_cells(spin, write, initial=0)())
    assert (found.outcome, found.executions, len(found.endings), len(found.seen)) == (
        "safe",
        1,
        1,
        0,
    )


def test_spinning_for_what_never_comes_is_found() -> None:
    """The loop takes several steps, so that a CPU may halt in the middle of it."""

    async def spin(a, b, c, out):
        while not (await a or await b or await c):
            pass

    async def write(a, b, c, out):
        await out.set(1)

    verdict = judge(tasks_on_cells(spin, write)(), strategy=Dpor())
    assert verdict.violation is not None
    assert "goes round for ever" in verdict.violation.message
    assert verdict.schedule is not None


def tries_for_ever(lock: SpinLock) -> Callable[[], Any]:
    async def task() -> None:
        while True:
            await lock.lock()
            await lock.unlock()

    return task


def endless() -> Machine:
    layout = Layout(cpus=2)
    lock = SpinLock(layout, "lock")
    return Machine(layout, [("one", tries_for_ever(lock)), ("two", tries_for_ever(lock))])


def test_an_execution_without_end_is_cut_and_nothing_is_claimed() -> None:
    verdict = judge(endless(), strategy=Dpor(steps=10))
    assert (verdict.outcome, verdict.executions) == ("unproved", 0)
    assert verdict.coverage.startswith("distinct executions followed for up to 10 steps: ")
    assert verdict.coverage.endswith("what comes later (cut short: 32 executions)")
    assert "not searched: what comes later" in verdict.coverage


def test_a_violation_before_the_cut_is_found() -> None:
    assert judge(increment(), strategy=Dpor(steps=4)).outcome == "violated"
    assert judge(increment(), strategy=Dpor(steps=3)).outcome == "unproved"


@pytest.mark.parametrize("steps", [0, -1])
def test_a_bound_that_allows_nothing_is_refused(steps: int) -> None:
    with pytest.raises(ModelError, match=r"Say 1 or a number above"):
        Dpor(steps)


# -- budgets, words ---------------------------------------------------------------------------------------------------


def large() -> Machine:
    return machine_for(SCENARIOS["young_reproducer"], as_kernel("6.4.3"))[0]


def test_a_budget_of_states_bounds_the_steps() -> None:
    verdict = judge(large(), Budget(states=500), strategy=Dpor())
    assert (verdict.outcome, verdict.reason) == ("unproved", "budget of 500 states reached")
    assert "the rest is unknown" in verdict.coverage


def test_a_budget_of_seconds_ends_it() -> None:
    verdict = judge(large(), Budget(seconds=0.0), strategy=Dpor())
    assert (verdict.outcome, verdict.reason) == ("unproved", "budget of 0 seconds reached")


def test_it_can_be_cancelled_and_tells_how_far_it_is() -> None:
    seen: list[int] = []

    def progress(states: int, transitions: int, seconds: float) -> bool:
        seen.append(transitions)
        return len(seen) < 20

    verdict = judge(large(), progress=progress, strategy=Dpor())
    assert (verdict.outcome, verdict.reason) == ("unproved", "cancelled")
    assert len(seen) == 20
    assert seen == sorted(seen)
    assert seen[-1] > seen[0] > 0


def test_ctrl_c_ends_it() -> None:
    def interrupt(states: int, transitions: int, seconds: float) -> bool:
        raise KeyboardInterrupt

    found = explored(large(), progress=interrupt)
    assert (found.outcome, found.reason) == ("unproved", "interrupted")


def test_the_verdict_says_what_was_searched() -> None:
    verdict = judge(readers(3), strategy=Dpor())
    assert (verdict.outcome, verdict.executions, verdict.states) == ("safe", 8, 0)
    assert verdict.coverage.startswith("every distinct execution followed: 8 executions, ")


def test_it_is_the_same_each_time() -> None:
    one, two = (explored(peterson("turn_first")) for _ in range(2))
    assert (one.executions, one.transitions, one.schedule) == (
        two.executions,
        two.transitions,
        two.schedule,
    )


def test_a_scenario_is_checked_with_it() -> None:
    """A process forks while it takes a fault: 50 distinct executions where thousands of interleavings are."""
    bad = check(SCENARIOS["fork_torn_snapshot"], "6.4.0", strategy=Dpor())
    good = check(SCENARIOS["fork_torn_snapshot"], "6.4.3", strategy=Dpor())
    assert (bad.verdict.outcome, good.verdict.outcome) == ("violated", "safe")
    assert bad.run is not None and isinstance(bad.run.violation, Violation)
    assert good.verdict.executions < good.verdict.transitions / 10
