"""Of CPUs that are alike one order is followed. No ending may be lost by it, and CPUs that are not alike must be found out."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings

from mmlocks.errors import ModelError
from mmlocks.machine import Layout, Machine, Rcu, Run, RwSem, SpinLock, Swap, require
from mmlocks.machine.machine import PC_FIELD, Violation
from mmlocks.scenarios import machine_for
from mmlocks.scenarios.checking import as_kernel
from mmlocks.scenarios.fork_many import fork_many
from mmlocks.search import judge, parallel
from mmlocks.search.exhaustive import Exhaustive, explore
from mmlocks.search.parallel import Parallel
from mmlocks.search.symmetry import Symmetry
from mmlocks.search.verdict import Budget, Exploration, Meter, Strategy
from tests.helpers import Outcome, deadlocks, decoded
from tests.machine import random_programs
from tests.machine.random_programs import Body, bodies

pytestmark = pytest.mark.slow  # all of it together: nothing here depends on the Python that runs it

ONE_ORDER = "all interleavings searched (one order of each set of steps that commute, and one of CPUs that are declared alike)"


def found(
    machine: Machine, reduced: bool = True, strategy: Strategy | None = None
) -> tuple[Exploration, Outcome]:
    """A search to the end, and what must not depend on how it was done."""
    how = strategy or Exhaustive(reduced)
    search = how.explore(machine, Meter(Budget(2_000_000, 200.0)), stop=False)
    assert not search.reason
    return search, Outcome(
        frozenset(decoded(machine, end) for end in search.endings),
        deadlocks(search.violations),
        bool(search.violations),
    )


def alike(machine: Machine, *swaps: Swap) -> Machine:
    machine.symmetries = swaps
    return machine


def numbered(one: int, two: int, *names: str) -> Swap:
    """Two CPUs with the cells that carry their numbers, such as `saw{}`."""
    pairs = {name.format(a): name.format(b) for name in names for a, b in ((one, two), (two, one))}
    return Swap((one, two), lambda name: pairs.get(name, name))


def counting(
    *cpus: int, shared: str = "lock", judged: Callable[[int], Any] = lambda state: None
) -> Machine:
    """As many CPUs: each takes a lock, looks at a number, adds to it, and leaves what it saw in a cell of its own."""
    layout = Layout(len(cpus))
    lock = SpinLock(layout, "lock") if shared == "lock" else RwSem(layout, "lock")
    number = layout.cell("number", 0)
    saw = [layout.cell(f"saw{cpu}", None) for cpu in range(len(cpus))]

    async def task(cpu: int) -> None:
        if isinstance(lock, RwSem):
            await lock.down_read()
            seen = await number
            await lock.up_read()
            await lock.down_write()
        else:
            seen = await number
            await lock.lock()
        value = await number
        await number.set(value + cpus[cpu])
        await (lock.up_write() if isinstance(lock, RwSem) else lock.unlock())
        await saw[cpu].set((seen, value))

    tasks = [(f"task{cpu}", lambda cpu=cpu: task(cpu)) for cpu in range(len(cpus))]
    return Machine(layout, tasks, judged)


def writers(vmas: int, cpus: int, release: str, alike: bool = True) -> Machine:
    return machine_for(fork_many(vmas, cpus, alike=alike), as_kernel(release))[0]


NAMES = ("saw{}", "lock.reader{}")


def all_alike(machine: Machine) -> Machine:
    cpus = range(len(machine.tasks))
    return alike(
        machine, *(numbered(one, two, *NAMES) for one in cpus for two in cpus if one < two)
    )


# -- nothing is lost --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shared", ["lock", "rwsem"])
@pytest.mark.parametrize(("cpus", "at_least"), [(2, 1.7), (3, 3.5)])
def test_cpus_that_count_are_alike(cpus: int, at_least: float, shared: str) -> None:
    program = (1,) * cpus
    search, same = found(all_alike(counting(*program, shared=shared)))
    plain, reduced = found(counting(*program, shared=shared))
    assert same == reduced == found(counting(*program, shared=shared), reduced=False)[1]
    assert search.states * at_least < plain.states
    assert search.searched == ONE_ORDER


def test_some_may_be_alike_and_others_not() -> None:
    search, same = found(alike(counting(1, 2, 1), numbered(0, 2, *NAMES)))
    plain, reduced = found(counting(1, 2, 1))
    assert same == reduced
    assert search.states < plain.states


@pytest.mark.parametrize("release", ["6.4.0", "6.4.3"])
@pytest.mark.parametrize("size", [(1, 3), (2, 4)], ids=str)
def test_writers_of_one_vma_are_alike(size: tuple[int, int], release: str) -> None:
    search, same = found(writers(*size, release))
    plain, reduced = found(writers(*size, release, alike=False))
    assert same == reduced
    assert search.states < 0.6 * plain.states
    verdict = judge(writers(*size, release))
    assert verdict.outcome == ("violated" if release == "6.4.0" else "safe")
    if verdict.schedule is not None:
        run, violation = Run.replay(writers(*size, release), verdict.schedule), verdict.violation
        assert run.taken[-1].violation == violation


def test_writers_of_different_vmas_are_not_declared_alike() -> None:
    assert machine_for(fork_many(3, 4, alike=True), as_kernel("6.4.3"))[0].symmetries == ()
    swaps = machine_for(fork_many(2, 5, alike=True), as_kernel("6.4.3"))[0].symmetries
    assert [swap.cpus for swap in swaps] == [(2, 4), (3, 5)]


TWINS = ("saw{}", "rcu.cpu{}", "sem.reader{}")


@settings(max_examples=120, deadline=None)
@given(bodies(3, spinning=True), bodies(2, spinning=True))
def test_random_programs_end_in_the_same_states(twice: Body, once: Body) -> None:
    program = (twice, once, twice)
    if "synchronize" in repr(
        program
    ):  # it asks one CPU after another, and so has an order of its own
        program = (twice, twice) if "synchronize" not in repr(twice) else ((("load", "a"),),) * 2
    last = len(program) - 1
    _, same = found(alike(random_programs.machine(program), numbered(0, last, *TWINS)))
    assert same == found(random_programs.machine(program), reduced=False)[1]


def test_an_ending_is_judged_for_each_of_the_cpus() -> None:
    """The judge need not treat CPUs alike: it is asked of every ending."""

    def built(saw: str) -> Machine:
        def judged(state: int) -> Violation | None:
            first = machine.layout.named(saw).of(state)[1] == 0
            return Violation("isolation", "came first") if first else None

        machine = counting(1, 1, judged=judged)
        return machine

    for saw in ("saw0", "saw1"):
        verdict = judge(all_alike(built(saw)))
        assert verdict.violation == Violation("isolation", "came first")
        assert verdict.schedule is not None


def spinning() -> Machine:
    layout = Layout(2)
    flag = layout.cell("flag", 0)

    async def task() -> None:
        if await flag.swap(0, 1):
            return
        while await flag != 2:
            await flag.swap(1, 1)

    return Machine(layout, [("one", task), ("two", task)])


def test_executions_that_never_end_are_seen() -> None:
    verdict = judge(alike(spinning(), Swap((0, 1))))
    assert verdict.violation is not None
    assert "goes round for ever" in verdict.violation.message
    assert judge(spinning()).outcome == verdict.outcome


def test_who_is_exchanged_half_way_round_a_loop_closes_it_too() -> None:
    """Which moment of a loop closes it depends on the order in which moments were met, and that may differ from CPU to CPU."""
    machine = alike(spinning(), Swap((0, 1)))
    explore(machine, Meter(Budget()))
    symmetry, (one, two) = Symmetry(machine), machine.layout.pc_shifts
    symmetry.close()
    for index in range(len(machine.tasks[0].nodes)):
        loops: list[set[int]] = [{index}, set()]
        symmetry.widen(loops)
        image = symmetry.orbit(machine.initial & ~machine.layout.pc_mask | index << one)[-1]
        assert loops == [{index}, {image >> two & PC_FIELD}]


def test_a_search_without_reduction_takes_no_notice() -> None:
    search, same = found(all_alike(counting(1, 1)), reduced=False)
    plain, other = found(counting(1, 1), reduced=False)
    assert (search.states, search.searched, same) == (plain.states, plain.searched, other)


@pytest.mark.parametrize("saw", ["saw0", "saw1"])
def test_a_schedule_leads_through_states_as_they_are(saw: str) -> None:
    def judged(state: int) -> Violation | None:
        return (
            Violation("isolation", "came second")
            if machine.layout.named(saw).of(state)[1]
            else None
        )

    machine = all_alike(counting(1, 1, judged=judged))
    search = explore(machine, Meter(Budget()), remember=True)
    assert search.schedule is not None
    end = Run.replay(machine, search.schedule).states[-1]
    assert machine.finished(end)
    assert judged(end) is not None


# -- several processes ------------------------------------------------------------------------------------------------


class Bytes(Executor):
    """Does at once what it is given, which travels as bytes, as between processes."""

    jobs = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.jobs += 1
        future: Future[Any] = Future()
        try:
            future.set_result(
                pickle.loads(pickle.dumps(fn(*pickle.loads(pickle.dumps(args)), **kwargs)))
            )
        except Exception as problem:
            future.set_exception(problem)
        return future


def three_count(shared: str, *numbers: int) -> Machine:
    return all_alike(counting(*numbers, shared=shared))


BUILDS = {
    "writers": partial(writers, 1, 3, "6.4.0"),
    "lock": partial(three_count, "lock", 1, 1, 1),
    "rwsem": partial(three_count, "rwsem", 1, 1, 1),
}


@pytest.mark.parametrize("name", BUILDS)
def test_one_process_searches_for_all(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """An exchange would take a state from one process's share to another's. Where no use is made of it, all can help."""
    monkeypatch.setattr(parallel, "SETTLED", 0)
    monkeypatch.setattr(parallel, "FEW", 0)
    build, executor = BUILDS[name], Bytes()
    search, same = found(build(), strategy=Parallel(executor, build, alone=1))
    plain, other = found(build())
    assert (search.states, search.searched, same) == (plain.states, ONE_ORDER, other)
    assert executor.jobs == 0
    search, same = found(build(), strategy=Parallel(executor, build, reduced=False, alone=1))
    plain, other = found(build(), reduced=False)
    assert (search.states, search.searched, same) == (plain.states, plain.searched, other)
    assert executor.jobs > 0


# -- what is not alike is found out -----------------------------------------------------------------------------------


def refused(machine: Machine) -> str:
    with pytest.raises(ModelError) as problem:
        judge(machine)
    return str(problem.value)


def test_other_code_is_refused() -> None:
    message = refused(all_alike(counting(1, 2)))
    assert message.startswith(
        "cpu0 and cpu1 are declared alike, and are not: where cpu0 takes store("
    )
    assert "in task (test_symmetry.py, line" in message
    assert message.endswith(
        "number is then 2, and should be 1. Let the Swap rename what differs, or leave it out."
    )


def test_other_steps_are_refused() -> None:
    def built(*tasks: Callable[[Any], Coroutine[Any, Any, None]]) -> Machine:
        layout = Layout(2)
        cell = layout.cell("cell", 0)
        return Machine(layout, [("task", lambda task=task: task(cell)) for task in tasks])

    async def reads(cell: Any) -> None:
        await require(await cell == 0, "check", "")

    async def stores(cell: Any) -> None:
        await cell.set(0)

    async def reads_twice(cell: Any) -> None:
        await cell
        await cell

    assert "the steps are not of one kind" in refused(alike(built(reads, stores), Swap((0, 1))))
    assert "the steps are not of one kind" in refused(
        alike(built(reads, reads_twice), Swap((0, 1)))
    )
    assert judge(alike(built(reads, reads), Swap((0, 1)))).outcome == "safe"


@pytest.mark.parametrize("oracle", ["", "other"])
def test_another_violation_is_refused(oracle: str) -> None:
    """One of the CPUs breaks a rule at a step where the other breaks none, or another one."""

    async def task(cpu: int) -> None:
        await require(cpu == 1 and not oracle, "check" if cpu == 0 else oracle, "")

    tasks = [(f"task{cpu}", lambda cpu=cpu: task(cpu)) for cpu in range(2)]
    assert "check is violated" in refused(alike(Machine(Layout(2), tasks), Swap((0, 1))))


def test_what_waits_for_readers_names_cpus() -> None:
    layout = Layout(3)
    rcu = Rcu(layout)
    assert Swap((1, 2)).value(rcu.waiting, ((rcu, (0, 1)),)) == ((rcu, (0, 2)),)
    assert Swap((0, 2)).value(rcu.waiting, ((rcu, (0, 1)),)) == ((rcu, (1, 2)),)


def test_a_cell_that_is_not_renamed_is_refused() -> None:
    told = "it touches {} there, to which nothing corresponds here"
    assert told.format("saw1") in refused(alike(counting(1, 1), Swap((0, 1))))
    only_saw = numbered(0, 1, "saw{}")
    assert told.format("lock.reader1") in refused(alike(counting(1, 1, shared="rwsem"), only_saw))


@pytest.mark.parametrize(
    ("shared", "says"),
    [
        ("lock", "lock is then 2, and should be 1"),
        ("rwsem", "it cannot run here, and deadlock is violated there"),
    ],
)
def test_an_owner_that_is_not_renamed_is_refused(shared: str, says: str) -> None:
    """The first step that shows it: a CPU owns its twin's lock; or it waits for itself, where its twin waits for another."""
    machine = all_alike(counting(1, 1, shared=shared))
    machine.layout.named("lock").with_cpus = None
    assert says in refused(machine)


def test_another_beginning_is_refused() -> None:
    machine = counting(1, 1)
    machine.layout.preset(machine.layout.named("saw1"), 7)
    machine.initial = machine.layout.initial
    assert refused(all_alike(machine)).startswith(
        "cpu0 and cpu1 are declared alike, but exchanging them would make saw0 begin as 7 instead of none."
    )


@pytest.mark.parametrize(
    ("swap", "why"),
    [
        (Swap((0, 0)), "name two different CPUs from 0 to 1"),
        (Swap((0, 2)), "name two different CPUs from 0 to 1"),
        (Swap((0, 1), lambda name: "nobody" if name == "saw0" else name), "nobody does not exist"),
        (Swap((0, 1), lambda name: "saw1" if name == "saw0" else name), "saw1 becomes saw1"),
        (
            Swap((0, 1), lambda name: {"lock": "saw0", "saw0": "lock"}.get(name, name)),
            "same kind and size",
        ),
    ],
    ids=["itself", "nobody", "no_such_cell", "no_pair", "other_kind"],
)
def test_names_must_pair_up(swap: Swap, why: str) -> None:
    assert why in refused(alike(counting(1, 1), swap))


def test_what_is_wrong_is_refused_even_where_a_violation_was_found() -> None:
    machine = counting(1, 2, judged=lambda state: Violation("isolation", "always"))
    assert "are declared alike, and are not" in refused(all_alike(machine))


# -- the comparison of endings can fail -------------------------------------------------------------------------------


def without_contents(self: Symmetry, state: int, right: Callable[[Symmetry, int], int]) -> int:
    """Exchange the CPUs' positions and forget their cells."""
    pc_mask = self._exchanges[0]._machine.layout.pc_mask
    return state & ~pc_mask | right(self, state) & pc_mask


def test_an_unsound_exchange_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    _, reduced = found(counting(1, 1, 1, shared="rwsem"))
    right = Symmetry.canonical
    monkeypatch.setattr(
        Symmetry, "canonical", lambda self, state: without_contents(self, state, right)
    )
    assert found(all_alike(counting(1, 1, 1, shared="rwsem")))[1] != reduced


def test_endings_that_are_left_out_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    _, reduced = found(counting(1, 1))
    monkeypatch.setattr(Symmetry, "orbit", lambda self, state: [state])
    assert found(all_alike(counting(1, 1)))[1] != reduced
