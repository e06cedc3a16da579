"""Strategies that look at some executions only: what they find, and above all what they do not claim."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlocks.errors import ModelError
from mmlocks.machine import Layout, Machine, Run, Violation
from mmlocks.scenarios import SCENARIOS, check, machine_for
from mmlocks.scenarios.checking import as_kernel
from mmlocks.scenarios.fork_many import fork_many
from mmlocks.search import (
    STRATEGIES,
    Bounded,
    Budget,
    Dpor,
    Exhaustive,
    Exploration,
    Pct,
    RandomWalk,
    Strategy,
    judge,
    shortest,
    strategy_named,
)
from mmlocks.search.verdict import Meter
from mmlocks.sentences import counted
from tests.helpers import tasks_on_cells
from tests.machine.programs import PROGRAMS, increment, lock_order, message, peterson
from tests.machine.random_programs import machine, programs

pytestmark = pytest.mark.slow  # all of it together: nothing here depends on the Python that runs it

ENOUGH = 1_000
"""More preemptions than any of these programs has any use for."""
SOME_ONLY = [Bounded(1), RandomWalk(), Pct(2)]


def named(strategy: Strategy) -> str:
    return type(strategy).__name__


def lost_store(release: str) -> Machine:
    return machine_for(SCENARIOS["fork_lost_store"], as_kernel(release))[0]


def large() -> Machine:
    return machine_for(fork_many(2, 3), as_kernel("6.4.3"))[0]


def explored(machine: Machine, strategy: Strategy, budget: Budget | None = None) -> Exploration:
    """Everything that a strategy sees of a machine, past violations."""
    return strategy.explore(machine, Meter(budget or Budget()), stop=False)


def preemptions(machine: Machine, schedule: tuple[int, ...]) -> int:
    run, count = Run.of(machine), 0
    for cpu in schedule:
        last = run.cpus[-1] if len(run) else None
        count += last is not None and last != cpu and last in run.enabled()
        run = run.step(cpu)
    return count


# -- at most so many preemptions --------------------------------------------------------------------------------------


def made_by_hand(machine: Machine, bound: int) -> set[tuple[int, int]]:
    """(state, CPU that steps there) of all executions with at most `bound` preemptions: straight from the definition."""
    made: set[tuple[int, int]] = set()
    work = [(machine.initial, -1, 0)]
    seen = set(work)
    while work:
        state, last, used = work.pop()
        able = machine.enabled(state)
        for cpu in able:
            now = used + (last in able and cpu != last)
            if now > bound:
                continue
            made.add((state, cpu))
            taken = machine.step(state, cpu)
            assert taken is not None
            place = (taken.state, cpu, now)
            if taken.violation is None and place not in seen:
                seen.add(place)
                work.append(place)
    return made


def as_the_definition_says(machine: Machine, bound: int) -> None:
    found, whole = explored(machine, Bounded(bound)), explored(machine, Exhaustive(reduced=False))
    made = made_by_hand(machine, bound)
    states = {
        machine.initial,
        *(after.state for state, cpu in made if (after := machine.step(state, cpu))),
    }
    assert set(found.seen) == states
    assert found.endings == {
        state & ~machine.layout.pc_mask for state in states if machine.finished(state)
    }
    assert found.transitions == len(made)
    assert (found.left_out == "") == (len(made) == whole.transitions)
    assert found.endings <= whole.endings and found.violations <= whole.violations
    if not found.left_out:
        assert set(found.seen) == set(whole.seen)
        assert (found.endings, found.violations) == (whole.endings, whole.violations)


@pytest.mark.parametrize("bound", [0, 1, 2, ENOUGH])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_bounded_search_makes_the_choices_that_the_bound_allows(name: str, bound: int) -> None:
    as_the_definition_says(PROGRAMS[name].build(), bound)


@given(program=programs(), bound=st.sampled_from([0, 1, 2, ENOUGH]))
@settings(max_examples=100)
def test_so_does_it_in_a_random_program(program: Any, bound: int) -> None:
    as_the_definition_says(machine(program), bound)


@given(program=programs())
@settings(max_examples=60)
def test_a_bound_that_cuts_nothing_off_judges_like_a_search_of_everything(program: Any) -> None:
    bounded, full = (
        judge(machine(program), strategy=Bounded(ENOUGH)),
        judge(machine(program), reduced=False),
    )
    assert (bounded.outcome, bounded.left_out) == (full.outcome, "")
    if full.outcome == "safe":
        assert (bounded.states, bounded.transitions, bounded.endings) == (
            full.states,
            full.transitions,
            full.endings,
        )


@pytest.mark.parametrize("release", ["6.4.0", "6.4.3"])
def test_endings_grow_with_the_bound_up_to_all(release: str) -> None:
    program = lost_store(release)
    whole = explored(program, Exhaustive(reduced=False))
    rising = [explored(program, Bounded(bound)) for bound in range(8)]
    assert all(one.endings <= two.endings for one, two in itertools.pairwise(rising))
    assert all(one.states <= two.states for one, two in itertools.pairwise(rising))
    assert rising[-1].endings == whole.endings
    if release == "6.4.0":
        assert rising[0].endings < rising[1].endings < rising[2].endings
    else:
        assert rising[0].endings < rising[1].endings == whole.endings
    left_out = [bool(found.left_out) for found in rising]
    assert left_out == sorted(left_out, reverse=True)
    assert left_out[0] and not left_out[-1]
    assert all(found.left_out or found.states == whole.states for found in rising)


DEPTHS = {
    "fork_lost_store": 2,
    "fork_torn_snapshot": 1,
    "fork_torn_across_vmas": 1,
    "young_reproducer": 2,
}


@pytest.mark.parametrize("name", DEPTHS)
def test_a_bug_is_found_with_as_many_preemptions_as_it_takes_and_with_no_fewer(name: str) -> None:
    depth = DEPTHS[name]
    program = machine_for(SCENARIOS[name], as_kernel("6.4.0"))[0]
    best = shortest(program, Meter(Budget()))
    assert best is not None
    assert best.preemptions == depth
    found = Bounded(depth).explore(program, Meter(Budget()))
    assert found.outcome == "violated"
    assert found.schedule is not None
    assert Run.replay(program, found.schedule).violation == found.violation
    assert preemptions(program, found.schedule) == depth
    too_few = check(SCENARIOS[name], "6.4.0", strategy=Bounded(depth - 1)).verdict
    assert (too_few.outcome, too_few.left_out) == ("unproved", "executions with more preemptions")
    bound = "with at most 1 preemption" if depth == 2 else "without preemptions"
    assert too_few.coverage.startswith(f"every execution {bound} searched: ")
    assert "all interleavings" not in too_few.coverage


def test_a_bound_that_cuts_nothing_off_proves() -> None:
    verdict = check(SCENARIOS["fork_lost_store"], "6.4.3", strategy=Bounded(20)).verdict
    assert (verdict.outcome, verdict.left_out) == ("safe", "")
    assert (
        verdict.searched
        == "all interleavings searched (no state takes more than 5 preemptions to reach)"
    )
    at_the_limit = check(SCENARIOS["fork_lost_store"], "6.4.3", strategy=Bounded(5)).verdict
    assert (at_the_limit.outcome, at_the_limit.searched) == ("safe", verdict.searched)
    below = check(SCENARIOS["fork_lost_store"], "6.4.3", strategy=Bounded(4)).verdict
    assert (below.outcome, below.left_out) == ("unproved", "executions with more preemptions")


def test_a_bounded_proof_looks_for_executions_that_never_end() -> None:
    async def spins_until_b(a, b, c, out):
        while not await b:
            pass

    async def sets_a_once_b_is_set(a, b, c, out):
        while not await b:
            pass
        await a.set(1)

    build = tasks_on_cells(spins_until_b, sets_a_once_b_is_set)
    assert explored(build(), Bounded(5)).outcome == "safe", "no ending is bad, as there is none"
    verdict = judge(build(), strategy=Bounded(5))
    assert verdict.violation is not None and "never ends" in verdict.violation.message


def test_a_program_without_a_step_is_searched() -> None:
    async def rests(a, b, c, out):
        pass

    verdict = judge(tasks_on_cells(rests, rests)(), strategy=Bounded(3))
    assert (verdict.outcome, verdict.endings) == ("safe", 1)
    assert "no state takes more than 0 preemptions" in verdict.searched


def test_a_deadlock_takes_a_preemption() -> None:
    assert judge(lock_order(), strategy=Bounded(0)).outcome == "unproved"
    assert judge(lock_order(), strategy=Bounded(1)).violation is not None


def test_a_bounded_search_that_stops_early_says_what_it_has_done() -> None:
    verdict = judge(lost_store("6.4.3"), Budget(states=1_000), strategy=Bounded(3))
    assert verdict.outcome == "unproved"
    assert (
        verdict.reason
        == "budget of 1,000 states reached after every execution with at most 1 preemption"
    )
    assert explored(lost_store("6.4.3"), Bounded(1)).states < 1_000


# -- one execution after another --------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", [RandomWalk(2_000), Pct(3, 2_000)], ids=named)
@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_found_at_random_is_there(name: str, strategy: Strategy) -> None:
    """And in programs as small as these, all of it is found."""
    program = PROGRAMS[name].build()
    found, whole = explored(program, strategy), explored(program, Exhaustive(reduced=False))
    assert found.endings == whole.endings
    assert found.violations <= whole.violations
    assert bool(found.violations) == bool(whole.violations)
    assert found.executions == 2_000
    if found.schedule is not None:
        assert Run.replay(program, found.schedule).violation == found.violation


@given(program=programs(), strategy=st.sampled_from([RandomWalk(20), Pct(2, 20)]))
@settings(max_examples=60)
def test_what_is_found_at_random_in_a_random_program_is_there(
    program: Any, strategy: Strategy
) -> None:
    build = machine(program)
    found, whole = explored(build, strategy), explored(build, Exhaustive(reduced=False))
    assert found.endings <= whole.endings
    assert found.violations <= whole.violations
    if found.schedule is not None:
        assert Run.replay(build, found.schedule).violation == found.violation


@pytest.mark.parametrize("strategy", [RandomWalk(50), Pct(2, 50)], ids=named)
def test_random_executions_prove_nothing_even_if_there_is_only_one(strategy: Strategy) -> None:
    async def alone(a, b, c, out):
        await a.set(1)

    verdict = judge(tasks_on_cells(alone)(), strategy=strategy)
    assert (verdict.outcome, verdict.executions, verdict.endings) == ("unproved", 50, 1)
    assert verdict.left_out.startswith("all other executions")
    assert "50 executions, 50 steps; not searched: all other executions" in verdict.coverage


@pytest.mark.parametrize("strategy", [RandomWalk(1_000), Pct(2)], ids=named)
def test_a_violation_is_shown_after_so_many_executions(strategy: Strategy) -> None:
    verdict = judge(increment(), strategy=strategy)
    assert (verdict.outcome, verdict.minimal) == ("violated", True)
    assert 0 < verdict.executions < 50
    assert verdict.coverage == f"violation found after {counted(verdict.executions, 'execution')}"


@pytest.mark.parametrize("kind", [RandomWalk, Pct])
def test_the_same_seed_makes_the_same_choices(kind: Any) -> None:
    one, two = (explored(lost_store("6.4.3"), kind(executions=200, seed=7)) for _ in range(2))
    assert one == two
    others = [
        explored(lost_store("6.4.3"), kind(executions=200, seed=seed)).transitions
        for seed in range(5)
    ]
    assert len(set(others)) > 1


@pytest.mark.parametrize("kind", [RandomWalk, Pct])
def test_more_executions_begin_with_the_same_ones(kind: Any) -> None:
    """So the execution that first breaks a rule is the same one, and the ones before it do not."""

    def broken(executions: int) -> Exploration:
        program = machine_for(SCENARIOS["fork_torn_snapshot"], as_kernel("6.4.0"))[0]
        return kind(executions=executions, seed=3).explore(program, Meter(Budget()))

    first = broken(1_000)
    assert first.executions > 1
    assert broken(first.executions) == first
    assert broken(first.executions - 1).violation is None


def test_a_walk_gives_every_cpu_the_same_chance() -> None:
    def comes(name: str) -> Any:
        async def task(a, b, c, out):
            await a.swap(0, name)

        return task

    program = tasks_on_cells(*map(comes, "wxyz"))()
    came = [
        dict(program.layout.values(end))["a"]
        for seed in range(400)
        for end in explored(program, RandomWalk(1, seed)).endings
    ]
    assert len(came) == 400
    assert all(80 <= came.count(name) <= 120 for name in "wxyz")


# -- probabilistic concurrency testing --------------------------------------------------------------------------------


def torn(steps: int) -> Machine:
    """A read and a write that belong together, in the middle of two tasks with so many steps each: a bug of depth 2."""

    async def task(a, b, c, out):
        for _ in range(steps // 2 - 1):
            await b
        await a.set(await a + 1)
        for _ in range(steps // 2 - 1):
            await b

    layout = Layout(cpus=2)
    a, b = layout.cell("a", 0), layout.cell("b", 0)

    def judged(state: int) -> Violation | None:
        return None if a.of(state) == 2 else Violation("lost_update", "one is lost")

    return Machine(
        layout, [("one", lambda: task(a, b, b, b)), ("two", lambda: task(a, b, b, b))], judged
    )


def test_a_bug_is_met_at_least_as_often_as_promised() -> None:
    """Of depth 2, with 2 CPUs and 20 steps: 1 in 40. In truth 1 in 20, whoever goes first: a fall after his 5th step."""
    after_the_first, seeds = 15, 400  # the first execution is there to learn the length
    found = sum(
        Pct(2, 1 + after_the_first, seed).explore(torn(10), Meter(Budget())).violation is not None
        for seed in range(seeds)
    )
    promised, truth = (1 - (1 - 1 / chance) ** after_the_first for chance in (40, 20))
    assert promised < truth - 0.1 < found / seeds < truth + 0.1


def test_the_promise_is_made_in_numbers() -> None:
    async def counts(a, b, c, out):
        for _ in range(10):
            await out.set(0)

    build = tasks_on_cells(counts, counts, counts)
    promise = "(if none has more than 30 steps, each of the last {} had a chance of at least 1 in {} to meet a given bug of depth {})"
    for depth, one_in in [(1, "3"), (2, "90"), (3, "2,700")]:
        assert promise.format(99, one_in, depth) in explored(build(), Pct(depth, 100)).left_out
    assert "chance" not in explored(build(), Pct(2, 1)).left_out, "the first one knew no length"


def test_what_was_followed_before_the_length_was_known_is_promised_nothing() -> None:
    """Who sees `a` set goes a longer way, which most executions do not take."""

    async def sets(a, b, c, out):
        await b
        await a.set(1)
        await a.set(0)

    async def sees(a, b, c, out):
        if await a:
            for _ in range(20):
                await b

    build = tasks_on_cells(sets, sees)
    short = explored(build(), Pct(1, 100))
    assert "more than 4 steps, each of the last 99 had" in short.left_out
    found = explored(build(), Pct(2, 100))
    assert "more than 24 steps, each of the last " in found.left_out
    assert "each of the last 99 " not in found.left_out


def test_depth_is_what_it_takes() -> None:
    """cpu1 must come in between twice: three orderings, and two priorities that change."""

    async def writes(a, b, c, out):
        await a.set(1)
        await a.set(2)

    async def reads(a, b, c, out):
        assert (await a, await a) != (1, 2)

    build = tasks_on_cells(writes, reads)
    assert not explored(build(), Pct(2, 500)).violations
    assert explored(build(), Pct(3, 500)).violations


@pytest.mark.parametrize("build", [peterson, message], ids=lambda build: build.__name__)
def test_whoever_spins_gives_way_and_nothing_is_promised(build: Any) -> None:
    """With the highest priority, he would otherwise spin until he is cut off."""
    found = explored(build(), Pct(2, 200))
    assert found.left_out == "all other executions"
    assert found.transitions < 200 * 40


@pytest.mark.parametrize("strategy", [RandomWalk(3), Pct(2, 3)], ids=named)
def test_an_execution_that_never_ends_is_cut_off_and_that_is_said(strategy: Strategy) -> None:
    async def spin(a, b, c, out):
        while not await a:
            pass

    found = explored(tasks_on_cells(spin)(), strategy)
    assert (found.executions, found.transitions, found.outcome) == (3, 15_000, "unproved")
    assert (
        found.left_out == "all other executions, and the rest of 3 that went on after 5,000 steps"
    )


def test_what_is_cut_off_has_no_length_and_so_nothing_is_promised() -> None:
    layout = Layout(cpus=1)
    count = layout.counter("count", bits=16)

    async def counts_for_ever():
        while True:
            await count.add(1)

    found = explored(Machine(layout, [("counts", counts_for_ever)]), Pct(2, 3))
    assert (
        found.left_out == "all other executions, and the rest of 3 that went on after 5,000 steps"
    )


# -- what they share --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", SOME_ONLY, ids=named)
def test_a_task_that_fails_before_its_first_step_is_reported(strategy: Strategy) -> None:
    async def fails(a, b, c, out):
        raise ValueError("at once")

    verdict = judge(tasks_on_cells(fails)(), strategy=strategy)
    assert verdict.violation is not None and "at once" in verdict.violation.message
    assert strategy.explore(tasks_on_cells(fails)(), Meter(Budget())).schedule == ()


@pytest.mark.parametrize("strategy", SOME_ONLY, ids=named)
def test_a_search_past_the_first_violation_sees_the_others(strategy: Strategy) -> None:
    async def fails_as(a, b, c, out):
        await a.set(await a + 1)
        raise ValueError(f"with {await a}")

    program = tasks_on_cells(fails_as, fails_as)()
    first, whole = strategy.explore(program, Meter(Budget())), explored(program, strategy)
    assert len(first.violations) == 1 < len(whole.violations)
    assert (first.violation, first.schedule) == (whole.violation, whole.schedule)


PATIENT = [Bounded(3), RandomWalk(10_000), Pct(2, 10_000)]


@pytest.mark.parametrize("strategy", PATIENT, ids=named)
def test_a_false_answer_to_progress_cancels(strategy: Strategy) -> None:
    calls: list[tuple[int, int, float]] = []

    def progress(states: int, transitions: int, seconds: float) -> bool:
        calls.append((states, transitions, seconds))
        return len(calls) < 3

    verdict = judge(large(), progress=progress, strategy=strategy)
    assert (verdict.outcome, verdict.reason.partition(" after ")[0], len(calls)) == (
        "unproved",
        "cancelled",
        3,
    )
    assert [at for _, at, _ in calls] == sorted({at for _, at, _ in calls})
    assert verdict.transitions < 10_000
    assert "the rest is unknown" in verdict.coverage


@pytest.mark.parametrize("strategy", PATIENT, ids=named)
def test_ctrl_c_ends_in_unproved(strategy: Strategy) -> None:
    def interrupt(states: int, transitions: int, seconds: float) -> bool:
        raise KeyboardInterrupt

    verdict = judge(large(), progress=interrupt, strategy=strategy)
    assert (verdict.outcome, verdict.reason.partition(" after ")[0]) == ("unproved", "interrupted")


@pytest.mark.parametrize("strategy", PATIENT, ids=named)
def test_a_budget_of_seconds_ends_in_unproved(strategy: Strategy) -> None:
    verdict = judge(large(), Budget(seconds=0.0), strategy=strategy)
    assert verdict.outcome == "unproved"
    assert verdict.reason.partition(" after ")[0] == "budget of 0 seconds reached"


@pytest.mark.parametrize("strategy", [RandomWalk(1), Pct(2, 1)], ids=named)
def test_progress_comes_in_the_middle_of_a_long_execution(strategy: Strategy) -> None:
    async def spin(a, b, c, out):
        while not await a:
            pass

    calls: list[int] = []

    def progress(states: int, transitions: int, seconds: float) -> bool:
        calls.append(transitions)
        return transitions < 2_000

    verdict = judge(tasks_on_cells(spin)(), progress=progress, strategy=strategy)
    assert (verdict.reason, verdict.executions) == ("cancelled", 0)
    assert max(two - one for one, two in itertools.pairwise([0, *calls])) <= 256


@pytest.mark.parametrize("strategy", SOME_ONLY, ids=named)
def test_code_that_is_not_deterministic_is_a_violation(strategy: Strategy) -> None:
    calls = itertools.count()

    async def moody(a, b, c, out):
        await (a if next(calls) % 2 else b)

    verdict = judge(tasks_on_cells(moody)(), strategy=strategy)
    assert verdict.violation is not None and verdict.violation.oracle == "mistake"


# -- by name ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "strategy"),
    [
        ("reduced", Exhaustive()),
        ("full", Exhaustive(reduced=False)),
        ("dpor", Dpor()),
        ("dpor:200", Dpor(200)),
        ("preemptions", Bounded(2)),
        ("preemptions:0", Bounded(0)),
        ("random", RandomWalk(1_000)),
        ("random:20", RandomWalk(20)),
        ("pct", Pct(3, 1_000)),
        ("pct:2", Pct(2, 1_000)),
        ("pct:4:50", Pct(4, 50)),
    ],
)
def test_a_strategy_by_name(text: str, strategy: Strategy) -> None:
    assert strategy_named(text) == strategy
    if dataclasses.is_dataclass(strategy) and hasattr(strategy, "seed"):
        assert strategy_named(text, seed=9) == dataclasses.replace(strategy, seed=9)


def test_every_name_can_be_typed_alone() -> None:
    program = increment("locked")
    outcomes = {name: judge(program, strategy=strategy_named(name)).outcome for name in STRATEGIES}
    unproved = {name for name, outcome in outcomes.items() if outcome == "unproved"}
    assert unproved == {"random", "pct"}
    assert next(iter(STRATEGIES)) == "reduced"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "",
            "there is no strategy called ''. Known strategies: reduced, full, dpor, preemptions, ",
        ),
        ("bounded:2", "there is no strategy called 'bounded'"),
        ("Full", "there is no strategy called 'Full'"),
        ("full:2", "'full:2' says too much. Write full."),
        ("pct:1:2:3", "'pct:1:2:3' says too much. Write pct[:DEPTH[:EXECUTIONS]]."),
        (
            "random:abc",
            "EXECUTIONS is a whole number of up to 9 digits, not 'abc'. Write random[:EXECUTIONS].",
        ),
        ("random:", "not ''"),
        ("random:1e3", "not '1e3'"),
        ("random: 5", "not ' 5'"),
        ("pct:\u0663", "DEPTH is a whole number"),
        ("random:" + "9" * 5_000, "up to 9 digits"),
        ("random:0", "'random:0': a search cannot follow 0 executions. Say 1 or a number above."),
        ("preemptions:-1", "cannot be bounded to -1 preemptions. Say 0 or a number above."),
        ("dpor:0", "cannot cut executions after 0 steps"),
        ("pct:0", "cannot look for bugs of depth 0. Say a number from 1 to 100."),
        ("pct:101", "cannot look for bugs of depth 101"),
        ("pct:2:0", "cannot follow 0 executions"),
    ],
    ids=lambda text: ascii(text)[:30],
)
def test_what_is_no_strategy(text: str, said: str) -> None:
    with pytest.raises(ModelError) as problem:
        strategy_named(text)
    assert said in str(problem.value)


@pytest.mark.parametrize("text", ["reduced", "full", "dpor", "preemptions:2"])
def test_a_seed_where_nothing_is_random(text: str) -> None:
    with pytest.raises(
        ModelError, match=r"a seed changes nothing in .* only random and pct choose at random"
    ):
        strategy_named(text, seed=1)
