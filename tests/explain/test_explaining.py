"""Explanations, each checked against every execution of small programs, which are listed here one by one."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from mmlocks.errors import ModelError
from mmlocks.explain.endings import endings
from mmlocks.explain.explanation import Explanation, explain
from mmlocks.explain.slicing import (
    Event,
    Order,
    fewest_meeting,
    orders_of,
    runs_before,
    slice_of,
    turned_around,
)
from mmlocks.explain.unavoidable import ends_well, unavoidable
from mmlocks.machine import Machine, Run, Violation
from mmlocks.scenarios import SCENARIOS, check
from mmlocks.search import Budget, judge
from mmlocks.search.verdict import Meter
from tests.helpers import tasks_on_cells
from tests.machine.programs import increment, lock_order
from tests.machine.random_programs import machine, programs

pytestmark = pytest.mark.slow  # all of it together: nothing here depends on the Python that runs it

FEW = 700
"""Executions of a random program that are still listed one by one."""


class Execution(NamedTuple):
    cpus: tuple[int, ...]
    states: tuple[int, ...]
    violation: Violation | None


def executions(machine: Machine) -> list[Execution]:
    """Every execution of a program without loops."""
    found: list[Execution] = []

    def go(cpus: tuple[int, ...], states: tuple[int, ...]) -> None:
        assume(len(found) <= FEW)
        steps = [
            step for cpu in machine.cpus if (step := machine.step(states[-1], cpu)) is not None
        ]
        if not steps:
            bad = (
                machine.judge(states[-1])
                if machine.finished(states[-1])
                else machine.deadlock(states[-1])
            )
            found.append(Execution(cpus, states, bad))
        for step in steps:
            if step.violation is not None:
                found.append(Execution((*cpus, step.cpu), states, step.violation))
            else:
                go((*cpus, step.cpu), (*states, step.state))

    bad = machine.stillborn()
    if bad is not None:
        return [Execution((), (machine.initial,), bad)]
    go((), (machine.initial,))
    return found


def one_bad(data: Any, program: Any) -> tuple[list[Execution], Run]:
    """All executions of a program, and one of them that is bad: if it broke no rule, its ending is declared to be wrong."""
    built = machine(program)
    every = executions(built)
    chosen = data.draw(st.sampled_from(every))
    if chosen.violation is None:
        wrong = Violation("wrong", "not this ending")
        built._judge = lambda state: (
            wrong if cells(built, state) == cells(built, chosen.states[-1]) else None
        )
        every = [
            one._replace(violation=wrong)
            if one.violation is None
            and cells(built, one.states[-1]) == cells(built, chosen.states[-1])
            else one
            for one in every
        ]
    return every, Run.replay(built, chosen.cpus)


def cells(machine: Machine, state: int) -> int:
    return state & ~machine.layout.pc_mask


few_enough = settings(max_examples=100, suppress_health_check=[HealthCheck.filter_too_much])


# -- the slice --------------------------------------------------------------------------------------------------------


def turns(run: Run, order: Order, other: Execution) -> bool:
    """Whether an execution turns an order of `run` around, by the words of the definition."""

    def name(event: Event) -> Any:
        moment = moments[event]
        node = run.machine.node(moment.state, event.cpu)
        return node.step, node.answer.where

    moments = runs_before(run)
    time = {
        event: sum(
            1
            for earlier in moments
            if earlier.cpu == event.cpu and earlier < event and name(earlier) == name(event)
        )
        for event in order[:2]
    }
    seen: Counter[Any] = Counter()
    for state, cpu in zip(other.states, other.cpus, strict=False):
        node = run.machine.node(state, cpu)
        this = (cpu, node.step, node.answer.where)
        if this == (order.first.cpu, *name(order.first)) and seen[this] == time[order.first]:
            return False
        if this == (order.then.cpu, *name(order.then)) and seen[this] == time[order.then]:
            pending = run.machine.node(state, order.first.cpu)
            on_the_way = [
                name(event)
                for event in moments
                if event.cpu == order.first.cpu and event <= order.first
            ]
            return (pending.step, pending.answer.where) in on_the_way
        seen[this] += 1
    return False


def otherwise(every: list[Execution], run: Run) -> Iterator[Execution]:
    assert run.violation is not None
    return (
        one
        for one in every
        if one.violation is None or one.violation.oracle != run.violation.oracle
    )


@given(program=programs(spinning=False), data=st.data())
@few_enough
def test_every_execution_that_keeps_the_orders_breaks_the_rule_and_fewer_orders_do_not_do(
    program: Any, data: Any
) -> None:
    every, run = one_bad(data, program)
    candidates = orders_of(run)
    this = Execution(run.cpus, run.states, run.violation)
    assert not any(turns(run, order, this) for order in candidates)
    found = slice_of(run, Meter(Budget()))
    assert found.settled
    assert found.orders is not None
    turned = {
        frozenset(number for number, order in enumerate(candidates) if turns(run, order, one))
        for one in otherwise(every, run)
    }
    chosen = {candidates.index(order) for order in found.orders}
    assert all(chosen & one for one in turned)
    smallest = len(chosen)
    for fewer in itertools.combinations(range(len(candidates)), smallest - 1) if smallest else ():
        assert not all(one & set(fewer) for one in turned)
    for order in found.orders:
        for weaker in (other for other in candidates if other.weaker(order)):
            tried = {*chosen - {candidates.index(order)}, candidates.index(weaker)}
            assert not all(tried & one for one in turned)


@given(sets=st.lists(st.integers(1, 255), max_size=6))
def test_the_fewest_elements_that_meet_all_sets(sets: list[int]) -> None:
    found = fewest_meeting(sets)
    assert all(any(one >> element & 1 for element in found) for one in sets)
    for fewer in itertools.combinations(range(8), len(found) - 1) if found else ():
        assert not all(any(one >> element & 1 for element in fewer) for one in sets)


def explained(name: str, release: str) -> Explanation:
    run = check(SCENARIOS[name], release).run
    assert run is not None
    return explain(run)


def told(found: Explanation, event: Event) -> str:
    """What a step did, in the run or beyond its end."""
    after = runs_before(found.run)[event].step(event.cpu)
    return after.told(len(after) - 1)


@pytest.mark.parametrize(
    ("name", "release", "orders"),
    [
        ("fork_lost_store", "6.4.0", [
            ("P3: F0 rw -> F0 ro", "P3 is read-only"),
            ("copies F0", "stores P3[0] = 1 into F0"),
            ("stores P3[0] = 1 into F0", "maps P3 to F2"),
            ("stores P3[0] = 1 into F0", "flushes all pages"),
        ]),
        ("stackrot", "6.4.0", [
            ("begins at mm_mt.node0", "mm_mt.node0 is dead and freed"),
            ("mm_mt.node0 is dead and freed", "reads mm_mt.node0.ranges"),
        ]),
        ("publish_early", "6.6-like-new_vma_locked", [
            ("ma_root: mm_mt.node0 -> mm_mt.node1", "finds VMA vma0"),
            ("takes P4.ptl; P4 is none", "vma0.vm_page_prot: rw -> ro"),
        ]),
    ],
)  # fmt: skip
def test_what_matters_is_the_story(name: str, release: str, orders: list[tuple[str, str]]) -> None:
    found = explained(name, release)
    assert found.slice.orders is not None
    assert len(found.slice.orders) == len(orders)
    for order, (first, then) in zip(found.slice.orders, orders, strict=True):
        assert first in told(found, order.first)
        assert then in told(found, order.then)
    assert len(found.slice.steps) < len(found.run) / 3
    assert found.slice.steps[-1] == len(found.run)
    named = {found.run.told(number - 1) for number in found.slice.steps}
    assert not any(
        background in what
        for what in named
        for background in ("takes mmap_lock", "map_count", "releases heap.vm_lock")
    )


def test_a_deadlock_is_two_orders() -> None:
    verdict = judge(lock_order())
    run = Run.replay(lock_order(), verdict.schedule or ())
    found = explain(run)
    assert found.violation.oracle == "deadlock"
    assert [order[:2] for order in found.slice.orders or ()] == [
        (Event(1, 1), Event(0, 2)),
        (Event(0, 1), Event(1, 2)),
    ]
    assert found.no_return.step == 2


def test_what_goes_wrong_in_any_order_has_no_cause_in_the_order() -> None:
    async def fails(a, b, c, out):
        await a.set(1)
        raise ValueError("always")

    async def other(a, b, c, out):
        await a.set(2)

    build = tasks_on_cells(fails, other)
    run = Run.replay(build(), judge(build()).schedule or ())
    found = explain(run)
    assert (found.slice.orders, found.slice.steps, found.slice.settled) == ((), (1,), True)
    assert (found.no_return.step, found.twin) == (0, None)


def test_many_readers_of_a_cell_are_background() -> None:
    """Everybody looks at `c` all the time, and somebody even changes it; none of that is in the slice."""

    async def writes(a, b, c, out):
        for _ in range(3):
            await c
        await a.set(1)
        await c.set(1)
        await b.set(1)

    async def reads(a, b, c, out):
        await c
        first = await a
        await c.set(2)
        if first != await b:
            raise ValueError("torn")

    build = tasks_on_cells(writes, reads)
    run = Run.replay(build(), judge(build()).schedule or ())
    found = explain(run).slice
    assert found.orders is not None
    assert {order.cells for order in found.orders} <= {("a",), ("b",)}
    assert len(found.orders) == 2


def test_who_has_taken_another_path_has_nothing_to_turn_around() -> None:
    """cpu0 stores to `a` unless `b` is set. Once it has not, cpu1 may look at `a` and turns no order around."""

    async def stores(a, b, c, out):
        if not await b:
            await a.set(1)
        await c.set(1)

    async def looks(a, b, c, out):
        await a

    built = tasks_on_cells(stores, looks, sets_b)()
    run = Run.replay(built, (0, 0, 1, 0, 2))
    order = Order(Event(0, 2), Event(1, 1))
    assert order in {one._replace(cells=()) for one in orders_of(run)}
    assert turned_around(run, (order,), Run.replay(built, (1, 0, 0, 0, 2))) == (order,)
    assert turned_around(run, (order,), Run.replay(built, (0, 1, 0, 0, 2))) == (order,)
    assert turned_around(run, (order,), Run.replay(built, (2, 1, 0, 0))) == (
        order,
    )  # it could still do so, for all one knew
    assert turned_around(run, (order,), Run.replay(built, (2, 0, 1, 0))) == ()


def spinning(*tasks: Any) -> Machine:
    return tasks_on_cells(*tasks)()


async def spins_until_a(a, b, c, out):
    while not await a:
        pass


async def sets_unless_b(a, b, c, out):
    if not await b:
        await a.set(1)


async def sets_b(a, b, c, out):
    await b.set(1)


def test_a_run_that_can_never_end_is_explained() -> None:
    built = spinning(spins_until_a, sets_unless_b, sets_b)
    schedule = judge(built).schedule
    assert schedule is not None
    found = explain(Run.replay(built, schedule))
    assert "never ends" in found.violation.message
    assert [order[:2] for order in found.slice.orders or ()] == [(Event(2, 1), Event(1, 1))]
    assert found.no_return.step is not None
    assert found.twin is not None
    assert ends_well(built, found.twin.run.state)


# -- the point of no return -------------------------------------------------------------------------------------------


@given(program=programs(spinning=False), data=st.data())
@few_enough
def test_before_the_point_of_no_return_something_ends_well_and_after_it_nothing(
    program: Any, data: Any
) -> None:
    every, run = one_bad(data, program)
    found = explain(run)
    step = found.no_return.step
    assert step is not None
    good = [one.cpus for one in every if one.violation is None]
    kept = max((_in_common(run.cpus, cpus) for cpus in good), default=-1)
    assert step == kept + 1
    if found.no_return.way_out is None:
        assert (found.twin, step) == (None, 0)
        return
    assert (*run.cpus[:kept], *found.no_return.way_out) in good
    # The twin: ends well, shares all that can be shared, and then is the cheapest of all that do.
    assert found.twin is not None
    assert found.twin.common == kept
    twins = [cpus for cpus in good if cpus[:kept] == run.cpus[:kept]]
    assert found.twin.run.cpus in twins
    cost = {cpus: (_preemptions(run.machine, cpus), len(cpus)) for cpus in twins}
    assert cost[found.twin.run.cpus] == min(cost.values())
    before = _preemptions(run.machine, run.cpus[:kept])
    assert found.twin.preemptions == cost[found.twin.run.cpus][0] - before
    assert set(found.turned) == {
        order
        for order in found.slice.orders or ()
        if turns(run, order, Execution(found.twin.run.cpus, found.twin.run.states, None))
    }
    assert found.turned


def _in_common(one: tuple[int, ...], two: tuple[int, ...]) -> int:
    return next(
        (place for place, (a, b) in enumerate(zip(one, two, strict=False)) if a != b),
        min(len(one), len(two)),
    )


def _preemptions(machine: Machine, cpus: tuple[int, ...]) -> int:
    run, many = Run.of(machine), 0
    for cpu in cpus:
        last = run.cpus[-1:]
        many += bool(last) and last[0] != cpu and last[0] in run.enabled()
        run = run.step(cpu)
    return many


def test_the_lost_store_was_lost_when_the_stale_translation_was_used() -> None:
    found = explained("fork_lost_store", "6.4.0")
    step = found.no_return.step
    assert step is not None
    assert "stores P3[0] = 1 into F0 through its TLB, which is stale" in found.run.told(step - 1)
    assert found.twin is not None
    assert found.twin.run.violation is None
    assert found.twin.run.cpus[: step - 1] == found.run.cpus[: step - 1]
    assert {told(found, order.then) for order in found.turned}


def test_where_the_twin_takes_the_cpu_away_that_is_a_preemption() -> None:
    async def looks(a, b, c, out):
        await c
        if not await b:
            raise ValueError("too early")

    built = tasks_on_cells(looks, sets_b)()
    found = explain(Run.replay(built, (0, 0)))
    assert found.no_return.step == 2
    assert found.twin is not None
    assert (found.twin.run.cpus, found.twin.common, found.twin.preemptions) == ((0, 1, 0), 1, 1)
    assert [order[:2] for order in found.turned] == [(Event(0, 2), Event(1, 1))]


def test_one_of_two_is_unavoidable_and_both_are_not() -> None:
    built = increment()
    counter = built.layout.named("counter")
    assert unavoidable(built, lambda state: counter.of(state) == 1).found is True
    both = unavoidable(built, lambda state: counter.of(state) == 2)
    assert both.found is False
    assert both.schedule is not None
    assert counter.of(Run.replay(built, both.schedule).state) == 1
    well = unavoidable(built)
    assert well.found is False
    assert ends_well(built, Run.replay(built, well.schedule or ()).state)
    assert unavoidable(built, start=Run.replay(built, (0, 1)).state).found is True


def test_a_spin_that_somebody_ends_does_not_avoid_what_comes_then() -> None:
    async def sets_a(a, b, c, out):
        await a.set(1)

    built = spinning(spins_until_a, sets_a)
    a = built.layout.named("a")
    assert unavoidable(built, lambda state: a.of(state) == 1).found is True
    assert unavoidable(built, built.finished).found is True


def test_a_spin_that_nobody_ends_avoids_everything_and_is_no_good_ending() -> None:
    built = spinning(spins_until_a, sets_unless_b, sets_b)
    never = unavoidable(built, built.finished)
    assert never.found is False
    assert unavoidable(built, start=Run.replay(built, never.schedule or ()).state).found is True
    assert unavoidable(built).found is False


def test_an_execution_that_breaks_a_rule_before_the_goal_avoids_it() -> None:
    async def looks(a, b, c, out):
        if not await a:
            raise ValueError("too early")

    async def sets_a(a, b, c, out):
        await a.set(1)

    built = tasks_on_cells(looks, sets_a)()
    a = built.layout.named("a")
    assert unavoidable(built, lambda state: a.of(state) == 1)[:2] == (False, (0,))


@given(program=programs(spinning=False), value=st.integers(0, 2))
@few_enough
def test_unavoidable_is_what_every_execution_does(program: Any, value: int) -> None:
    built = machine(program)
    a = built.layout.named("a")

    def goal(state: int) -> bool:
        return bool(a.of(state) == value)

    every = executions(built)
    found = unavoidable(built, goal)
    assert found.found is all(any(map(goal, one.states)) for one in every)
    if found.schedule is not None:
        assert not any(map(goal, Run.replay(built, found.schedule).states))


# -- endings ----------------------------------------------------------------------------------------------------------


@given(program=programs(spinning=False))
@few_enough
def test_endings_are_counted_as_if_one_by_one(program: Any) -> None:
    built = machine(program)
    every = executions(built)

    def matters(state: int) -> tuple[Any, Any]:
        return built.layout.named("a").of(state), built.layout.named("n").of(state)

    def kind(one: Execution) -> Any:
        return (one.violation, None if one.violation is not None else matters(one.states[-1]))

    found = endings(built, matters)
    counted = Counter(map(kind, every))
    assert {(one.violation, one.value): one.schedules for one in found.endings} == counted
    assert found.schedules == len(every)
    for ending in found.endings:
        ways = [one for one in every if kind(one) == (ending.violation, ending.value)]
        assert len({one.states[-1] for one in ways}) == ending.states
        cost = {one.cpus: (_preemptions(built, one.cpus), len(one.cpus)) for one in ways}
        assert cost[ending.schedule] == min(cost.values())


def test_increment_has_six_schedules_and_two_endings() -> None:
    found = endings(increment())
    assert [(one.violation and one.violation.oracle, one.schedules) for one in found.endings] == [
        (None, 2),
        ("lost_update", 4),
    ]


def test_a_loop_has_infinitely_many_schedules_and_never_ending_is_an_ending() -> None:
    found = endings(spinning(spins_until_a, sets_unless_b, sets_b), lambda state: None)
    assert [(one.violation is None, one.schedules) for one in found.endings] == [
        (True, None),
        (False, 0),
    ]
    assert found.schedules is None
    assert "never ends" in (found.endings[1].violation or Violation("", "")).message
    assert found.endings[1].schedule


# -- budgets and mistakes ---------------------------------------------------------------------------------------------


def test_a_run_that_goes_well_has_nothing_to_explain() -> None:
    with pytest.raises(ModelError, match="nothing to explain"):
        explain(Run.of(increment("locked")))


def test_a_rule_about_all_runs_is_not_explained_by_one() -> None:
    found = check(
        SCENARIOS["imap_lock_order"], "6.6-like-new_vma_locked_first", also=("lock_order",)
    )
    assert found.run is not None
    with pytest.raises(ModelError, match="rule about all runs"):
        explain(found.run)


def test_what_the_budget_does_not_allow_is_said_to_be_missing() -> None:
    run = check(SCENARIOS["young_reproducer"], "6.4.0").run
    assert run is not None
    found = explain(run, Budget(states=60))
    assert "budget of 60 states reached" in found.reasons
    assert (found.slice.orders, found.slice.steps, found.slice.settled) == (None, (), False)
    assert found.twin is None or not found.twin.closest
    assert explain(run, Budget(states=60), lambda *_: False).no_return.reason == "cancelled"
    assert endings(run.machine, budget=Budget(states=60)).reason == "budget of 60 states reached"
    assert unavoidable(run.machine, budget=Budget(states=60)).found is None
