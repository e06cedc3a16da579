"""One search on several processes finds what one process finds, whatever becomes of the others.

The processes are played by executors in this one, so that these tests run everywhere: a job travels as bytes, and comes back as bytes. Real
processes stand in tests/cli/test_spread.py.
"""

from __future__ import annotations

import itertools
import pickle
import random
from collections.abc import Callable, Collection
from concurrent.futures import BrokenExecutor, Executor, Future
from functools import partial
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings

from mmlocks.errors import ModelError, NondeterminismError
from mmlocks.machine import Machine, Violation
from mmlocks.machine.words import words_of
from mmlocks.scenarios import SCENARIOS, check
from mmlocks.scenarios.checking import program_named
from mmlocks.search import (
    Budget,
    Exhaustive,
    Exploration,
    Strategy,
    judge,
    parallel,
    partition,
)
from mmlocks.search.parallel import Parallel
from mmlocks.search.verdict import Meter
from tests.helpers import deadlocks, decoded, tasks_on_cells
from tests.machine import random_programs
from tests.machine.programs import PROGRAMS

pytestmark = pytest.mark.slow  # all of it together: nothing here depends on the Python that runs it

AMPLE = Budget(5_000_000, 300.0)
REDUCED = pytest.mark.parametrize("reduced", [True, False], ids=["reduced", "full"])
SOME_SCENARIOS = [
    ("fork_lost_store", "6.4.0"), ("fork_torn_snapshot", "6.4.3"), ("fork_other_vma", "6.4.0"), ("stackrot", "6.4.0"),
    ("stackrot", "6.4.3"), ("stack_expand_fault", "6.4.0"), ("publish_early", "6.4.3"),
]  # fmt: skip


# -- executors --------------------------------------------------------------------------------------------------------


def travelled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


class Here(Executor):
    """Runs a job at once."""

    def __init__(self) -> None:
        self.jobs = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.jobs += 1
        future: Future[Any] = Future()
        try:
            future.set_result(travelled(travelled(fn)(*travelled(args), **kwargs)))
        except Exception as problem:
            future.set_exception(problem)
        return future


class Later(Here):
    """Runs a job when somebody waits, and of those that wait, any."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.chance = random.Random(seed)
        self.waiting: dict[Future[Any], Callable[[], Future[Any]]] = {}

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting[future] = partial(super().submit, fn, *args, **kwargs)
        return future

    def wait(self, futures: Collection[Future[Any]], **_: Any) -> Any:
        """In place of `concurrent.futures.wait`."""
        mine = [future for future in futures if future in self.waiting]
        chosen = self.chance.sample(mine, self.chance.randint(1, len(mine)))
        for future in chosen:
            future.set_result(self.waiting.pop(future)().result())
        return _Waited(set(chosen))


class _Waited(NamedTuple):
    done: set[Future[Any]]


class Failing(Here):
    """Something happens to the workers after so many jobs: those under way are lost, or no more are taken."""

    def __init__(self, after: int, problem: BaseException, taking: bool = False) -> None:
        super().__init__()
        self.after = after
        self.problem = problem
        self.taking = taking

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = super().submit(fn, *args, **kwargs)
        if self.jobs <= self.after:
            return future
        if self.taking:
            raise self.problem
        lost: Future[Any] = Future()
        if isinstance(self.problem, BaseException) and not isinstance(self.problem, Exception):
            lost.cancel()
            lost.set_running_or_notify_cancel()
        else:
            lost.set_exception(self.problem)
        return lost


class Silent(Executor):
    """Takes every job, and is never heard of again."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return Future()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs of a few states, and so many of them even for a small program, which is not searched for long before."""
    monkeypatch.setattr(parallel, "SETTLED", 0)
    monkeypatch.setattr(parallel, "JOB", 40)
    monkeypatch.setattr(parallel, "FEW", 0)
    monkeypatch.setattr(parallel, "SCOUTS", 10)
    monkeypatch.setattr(parallel, "PATIENCE", 0)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    executor = Later()
    monkeypatch.setattr("concurrent.futures.wait", executor.wait)
    return executor


def program(name: str) -> Machine:
    return PROGRAMS[name].build()


def spread(
    executor: Executor, build: Callable[[], Machine], reduced: bool = True, **more: Any
) -> Parallel:
    return Parallel(executor, build, **{"reduced": reduced, "alone": 1, "workers": 2, **more})


# -- the same ---------------------------------------------------------------------------------------------------------


class Told(NamedTuple):
    """What must not depend on who searched. Machines number values as they meet them, so states are told by what they hold."""

    endings: frozenset[Any]
    deadlocks: frozenset[str]
    violated: bool
    everything: tuple[Any, ...]
    """Without reduction all is the same: states, transitions, and which rules are broken."""


def told(build: Callable[[], Machine], strategy: Strategy, reduced: bool) -> Told:
    machine = build()
    found = strategy.explore(machine, Meter(AMPLE), stop=False)
    assert not found.reason, found.reason
    return Told(
        frozenset(decoded(machine, end) for end in found.endings),
        deadlocks(found.violations),
        bool(found.violations),
        () if reduced else (found.states, found.transitions, sorted(found.violations)),
    )


def agree(executor: Executor, build: Callable[[], Machine], reduced: bool, **more: Any) -> None:
    alone = told(build, Exhaustive(reduced), reduced)
    assert told(build, spread(executor, build, reduced, **more), reduced) == alone


@REDUCED
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_searched_by_others(name: str, reduced: bool) -> None:
    agree(Here(), partial(program, name), reduced)


@REDUCED
@pytest.mark.parametrize("name", PROGRAMS)
def test_jobs_done_in_any_order(name: str, reduced: bool, later: Later) -> None:
    agree(later, partial(program, name), reduced, workers=5)


@REDUCED
@pytest.mark.parametrize(("scenario", "release"), SOME_SCENARIOS, ids=lambda value: value)
def test_a_scenario_searched_by_others(scenario: str, release: str, reduced: bool) -> None:
    executor = Here()
    agree(executor, partial(program_named, scenario, release), reduced)
    assert executor.jobs > 10, "it has really been spread"


@REDUCED
@pytest.mark.parametrize("alone", [300, 650, 5_000])
def test_however_much_one_process_has_searched_before(alone: int, reduced: bool) -> None:
    """A violation that it has seen by then does not keep the rest from being searched."""
    agree(Here(), partial(program_named, "fork_lost_store", "6.4.0"), reduced, alone=alone)


@REDUCED
@given(bodies=random_programs.programs())
@settings(max_examples=40)
def test_random_programs(bodies: tuple[Any, ...], reduced: bool) -> None:
    agree(Here(), partial(random_programs.machine, bodies), reduced)


@REDUCED
@pytest.mark.parametrize("scouts", [0, 100], ids=["no_scouts", "many_scouts"])
def test_what_is_unknown_on_the_way_is_found_out(
    monkeypatch: pytest.MonkeyPatch, scouts: int, reduced: bool
) -> None:
    """Without scouts almost every layer has something new in it, and many a search has to begin again."""
    monkeypatch.setattr(parallel, "SCOUTS", scouts)
    monkeypatch.setattr(parallel, "PATIENCE", 4)
    monkeypatch.setattr(parallel, "explore", nothing_alone)
    sweeps, sweep = list[bool](), parallel._Leader.sweep

    def counted(leader: Any) -> bool:
        sweeps.append(sweep(leader))
        return sweeps[-1]

    monkeypatch.setattr(parallel._Leader, "sweep", counted)
    builds = [
        *(partial(program_named, name, "6.4.3") for name in ("fork_torn_snapshot", "stackrot")),
        *(partial(program, name) for name in ("peterson", "sequence_count", "lock_order_of_three")),
    ]
    for build in builds:
        agree(Here(), build, reduced)
    assert sweeps.count(True) == len(builds)
    assert (False in sweeps) == (scouts == 0)


def nothing_alone(machine: Machine, meter: Meter, *_: Any, **__: Any) -> Exploration:
    """The search that comes first, which finds most words, has not begun when its budget is used up."""
    return Exploration("", states=1, reason=parallel.ENOUGH)


@REDUCED
def test_no_count_depends_on_workers(reduced: bool, later: Later) -> None:
    build = partial(program_named, "fork_torn_snapshot", "6.4.0")

    def found(executor: Executor, workers: int, stop: bool) -> tuple[Any, ...]:
        machine = build()
        strategy = spread(executor, build, reduced, workers=workers)
        found = strategy.explore(machine, Meter(AMPLE), stop=stop)
        return (
            found.states,
            found.transitions,
            found.outcome,
            found.violation,
            sorted(found.violations),
            sorted(found.endings),
        )

    for stop in (True, False):
        several = [found(later, workers, stop) for workers in (1, 2, 50)]
        assert several == several[:1] * 3


def test_the_first_violation_ends_it() -> None:
    build = partial(program_named, "fork_lost_store", "6.4.0")
    every = spread(Here(), build).explore(build(), Meter(AMPLE), stop=False)
    first = spread(Here(), build).explore(build(), Meter(AMPLE), stop=True)
    assert first.violation is not None
    assert first.violations <= every.violations
    assert first.states < every.states


@pytest.mark.parametrize(("scenario", "release"), SOME_SCENARIOS, ids=lambda value: value)
def test_a_verdict_reads_the_same(scenario: str, release: str) -> None:
    build = partial(program_named, scenario, release)
    one, other = judge(build()), judge(build(), strategy=spread(Here(), build))
    assert (one.outcome, one.violation, one.schedule, one.minimal, one.searched, one.left_out) == (
        other.outcome,
        other.violation,
        other.schedule,
        other.minimal,
        other.searched,
        other.left_out,
    )


def test_an_oracle_that_asks_afterwards_is_answered() -> None:
    """Lock order is read off the automata of the process that leads, which must have learned all of them."""
    scenario = SCENARIOS["imap_lock_order"]
    for release in ("6.4.0", "6.6-like"):
        build = partial(program_named, scenario.name, release, ("lock_order",))
        alone = check(scenario, release, also=("lock_order",)).verdict
        found = check(
            scenario, release, also=("lock_order",), strategy=spread(Here(), build)
        ).verdict
        assert (found.outcome, found.violation) == (alone.outcome, alone.violation)


@REDUCED
def test_no_count_depends_on_how_the_work_is_cut(
    monkeypatch: pytest.MonkeyPatch, reduced: bool
) -> None:
    """Whoever is told apart, every state is in one class. A class that is too large has one more CPU told apart."""
    build = partial(program_named, "fork_lost_store", "6.4.3")
    figures, apart = set[Any](), set[int]()
    for job, sending in itertools.product((1, 60, 100_000), (0.0, 100.0)):
        monkeypatch.setattr(parallel, "JOB", job)
        monkeypatch.setattr(partition, "SENDING", sending)
        leaders = list[Any]()
        made = parallel._Leader

        def leading(*how: Any) -> Any:
            leaders.append(made(*how))  # noqa: B023  called before the next turn
            return leaders[-1]  # noqa: B023

        with monkeypatch.context() as patch:
            patch.setattr(parallel, "_Leader", leading)
            found = spread(Here(), build, reduced).explore(build(), Meter(AMPLE))
        figures.add((found.outcome, found.states, found.transitions, len(found.endings)))
        apart.add(len(leaders[0].partition.apart))
    assert len(figures) == 1
    assert apart >= {1, 3}
    plain = Exhaustive(reduced).explore(build(), Meter(AMPLE))
    if not reduced:
        assert figures == {("safe", plain.states, plain.transitions, len(plain.endings))}


@REDUCED
def test_what_never_ends_is_seen(reduced: bool) -> None:
    """States at loops are kept: of those it is asked whether an ending can still be reached."""
    alone = judge(one_never_ends(), reduced=reduced)
    assert "goes round for ever" in (alone.violation or ("", ""))[1]
    found = judge(one_never_ends(), strategy=spread(Here(), one_never_ends, reduced))
    assert (found.outcome, found.violation) == (alone.outcome, alone.violation)


async def waits_for_ever(a: Any, b: Any, c: Any, out: Any) -> None:
    while await c == 0:
        pass


async def sets(a: Any, b: Any, c: Any, out: Any) -> None:
    await a.set(await b + 1)
    await b.set(await a + 1)


def one_never_ends() -> Machine:
    return tasks_on_cells(waits_for_ever, *[sets] * 2)()


def test_small_programs_ask_nobody() -> None:
    executor = Here()
    build = partial(program_named, "fork_lost_store", "6.4.3")
    found = Parallel(executor, build).explore(build(), Meter(AMPLE))
    assert (found.outcome, executor.jobs) == ("safe", 0)


# -- workers that are lost --------------------------------------------------------------------------------------------

LOSSES = {
    "broken": lambda after: Failing(after, BrokenExecutor("a process died")),
    "broken_for_good": lambda after: Failing(after, BrokenExecutor("a process died"), taking=True),
    "shut_down": lambda after: Failing(after, RuntimeError("cannot schedule new futures after shutdown"), taking=True),
    "cancelled": lambda after: Failing(after, SystemExit()),
    "killed": lambda after: Failing(after, ValueError("some cluster's own exception")),
    "unreachable": lambda after: Failing(after, OSError("no route to host")),
}  # fmt: skip


@REDUCED
@pytest.mark.parametrize("after", [0, 3])
@pytest.mark.parametrize("loss", LOSSES)
def test_nothing_is_lost_with_the_workers(loss: str, after: int, reduced: bool) -> None:
    for build in (
        partial(program_named, "stackrot", "6.4.0"),
        partial(program, "lock_order_of_three"),
    ):
        executor, said = LOSSES[loss](after), list[str]()
        agree(executor, build, reduced, complain=said.append)
        assert executor.jobs == after + (
            1 if "for_good" in loss or "shut" in loss else executor.jobs - after
        )
        assert len(said) == 1
        assert said[0].startswith("the workers are lost (")
        assert said[0].endswith("); the search goes on in this process alone.")


def test_who_searches_a_program_is_warned() -> None:
    build = partial(program, "bakery")
    strategy = spread(Failing(1, BrokenExecutor("a process died")), build)
    with pytest.warns(
        UserWarning, match=r"the workers are lost \(BrokenExecutor: a process died\)"
    ):
        strategy.explore(build(), Meter(AMPLE))


def test_workers_that_say_nothing_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "SILENCE", 0.0)
    monkeypatch.setattr("concurrent.futures.wait", lambda *_, **__: _Waited(set()))
    said = list[str]()
    agree(Silent(), partial(program, "bakery"), reduced=False, complain=said.append)
    assert said == [
        "the workers are lost (TimeoutError: silent for 0 s); the search goes on in this process alone."
    ]


# -- ended early ------------------------------------------------------------------------------------------------------


def test_a_budget_of_states() -> None:
    build = partial(program_named, "young_reproducer", "6.4.3")
    for states in (2, 400):
        found = spread(Here(), build, alone=20).explore(build(), Meter(Budget(states)))
        assert (found.outcome, found.reason) == ("unproved", f"budget of {states:,} states reached")
        assert found.states >= states
    assert found.transitions > 0


def test_a_budget_of_seconds() -> None:
    build = partial(program_named, "young_reproducer", "6.4.3")
    meter = Meter(Budget(seconds=100.0))
    found = spread(Late(meter), build).explore(build(), meter)
    assert (found.outcome, found.reason) == ("unproved", "budget of 100 seconds reached")


class Late(Here):
    """Takes so long that the budget is used up after three jobs."""

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self.meter = meter

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self.jobs == 3:
            self.meter.started -= 1_000.0
        return super().submit(fn, *args, **kwargs)


def test_scouts_can_be_called_back() -> None:
    """They take a second where a program is large."""
    asked, executor = itertools.count(1), Here()
    build = partial(program_named, "young_reproducer", "6.4.3")
    found = spread(executor, build, alone=2).explore(
        build(), Meter(AMPLE, lambda *_: next(asked) < 40)
    )
    assert (found.reason, executor.jobs) == ("cancelled", 0)
    assert found.states > 0, "those that were seen before anybody was asked"


@pytest.mark.parametrize("how", ["false", "interrupt"])
@pytest.mark.parametrize("calls", [1, 20])
def test_progress_that_ends_it(how: str, calls: int) -> None:
    count = itertools.count(1)

    def progress(states: int, transitions: int, seconds: float) -> bool:
        call = next(count)
        if call >= calls and how == "interrupt":
            raise KeyboardInterrupt
        return call < calls

    build = partial(program_named, "young_reproducer", "6.4.3")
    executor = Here()
    found = spread(executor, build, alone=5_000).explore(build(), Meter(AMPLE, progress))
    assert (found.outcome, found.reason) == (
        "unproved",
        {"false": "cancelled", "interrupt": "interrupted"}[how],
    )


def test_ctrl_c_while_one_process_still_searches_alone_ends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many states it has seen by then."""
    monkeypatch.setattr(
        parallel, "explore", lambda *_, **__: Exploration("", states=6_000, reason="interrupted")
    )
    executor = Here()
    build = partial(program, "bakery")
    found = spread(executor, build, alone=5_000).explore(build(), Meter(AMPLE))
    assert (found.reason, executor.jobs) == ("interrupted", 0)


def test_ctrl_c_leaves_no_job_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    given = list[Future[Any]]()

    class Keeping(Silent):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            given.append(super().submit(fn))
            return given[-1]

    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("concurrent.futures.wait", interrupted)
    build = partial(program, "bakery")
    found = spread(Keeping(), build).explore(build(), Meter(AMPLE))
    assert found.reason == "interrupted"
    assert given and all(future.cancelled() for future in given)


def test_a_violation_that_was_seen_stands_though_the_search_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A layer is searched whole before it is told of. If it is ended in its middle, what was found there is told all the same."""
    monkeypatch.setattr(parallel, "JOB", 1)
    build = partial(program_named, "fork_lost_store", "6.4.0")

    def ended(after: float) -> tuple[str, str, int]:
        """How a search ends that may ask so many times whether to go on, and how often it asked."""
        calls = itertools.count(1)
        asked = [0]

        def progress(states: int, transitions: int, seconds: float) -> bool:
            asked[0] = next(calls)
            return asked[0] < after

        found = spread(Here(), build, reduced=False, workers=5).explore(
            build(), Meter(AMPLE, progress)
        )
        return found.outcome, found.reason, asked[0]

    outcome, reason, calls = ended(after=float("inf"))
    assert (outcome, reason) == ("violated", "")
    assert {ended(after)[:2] for after in range(calls - 5, calls + 1)} == {
        ("unproved", "cancelled"),
        ("violated", "cancelled"),
    }


# -- programs that cannot be spread -----------------------------------------------------------------------------------


def test_a_program_that_cannot_be_pickled() -> None:
    with pytest.raises(ModelError, match="cannot be sent to another process"):
        spread(Here(), lambda: program("bakery")).explore(program("bakery"), Meter(AMPLE))


def test_a_program_that_cannot_be_built_there() -> None:
    with pytest.raises(
        ModelError, match=r"cannot build the program \(KeyError: 'no such program'\)"
    ):
        spread(Here(), partial(program, "no such program")).explore(program("bakery"), Meter(AMPLE))


def test_a_program_that_is_another_one_there() -> None:
    with pytest.raises(
        ModelError, match="has another program than the one that leads: their cells differ"
    ):
        spread(Here(), partial(program, "peterson")).explore(program("bakery"), Meter(AMPLE))


def test_a_value_that_cannot_travel() -> None:
    with pytest.raises(ModelError, match="a float is passed on, which is not a plain value"):
        spread(Here(), halves).explore(halves(), Meter(AMPLE))


def halves() -> Machine:
    async def store(a: Any, b: Any, c: Any, out: Any) -> None:
        await a.set(0.5)
        await b.set(0.5)

    return tasks_on_cells(store, store)()


def test_a_value_that_comes_out_different_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than to be asked for its word for ever."""
    monkeypatch.setattr(parallel, "words_of", lambda machine: words_of(program("bakery")))
    with pytest.raises(ModelError, match="comes out different in another process"):
        spread(Here(), partial(program, "bakery")).explore(program("bakery"), Meter(AMPLE))


def test_code_that_is_not_deterministic() -> None:
    with pytest.raises(NondeterminismError):
        spread(Here(), unsteady).explore(unsteady(), Meter(AMPLE), stop=False)
    verdict = judge(unsteady(), strategy=spread(Here(), unsteady))
    assert verdict.violation is not None
    assert verdict.violation.oracle == "mistake"


COUNT = itertools.count()


def unsteady() -> Machine:
    async def store(a: Any, b: Any, c: Any, out: Any) -> None:
        await a.set(next(COUNT) % 200)
        await b.set(await a)

    return tasks_on_cells(store, store)()


def test_violations_are_told_in_the_same_words() -> None:
    """They come from another process, which has built the program from other code."""
    build = partial(program_named, "stack_expand_fault", "6.4.0")
    alone = Exhaustive(reduced=False).explore(build(), Meter(AMPLE), stop=False).violations
    there = (
        spread(Here(), build, reduced=False).explore(build(), Meter(AMPLE), stop=False).violations
    )
    assert there == alone
    assert all(isinstance(violation, Violation) for violation in there)
