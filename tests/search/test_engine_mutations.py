"""Deliberate faults in the engine, each caught by a test of the suite that is named beside it. A suite that catches none of them proves nothing.

Here are those in the machine and in DPOR; those in the reduction stand in `test_reduction.py`, one in the merging of moments in
`test_merging.py`, one in the search for endless executions in `test_endless.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from mmlocks.machine import state, task, values
from mmlocks.machine.machine import Machine
from mmlocks.machine.moment import Freezer
from mmlocks.machine.state import Layout, View
from mmlocks.machine.step import BLOCKED, OPERATIONS, Footprint, perform, touching
from mmlocks.machine.task import Task
from mmlocks.search import dpor
from mmlocks.search.dpor import Dpor, _Event, _Prefix, _Search
from mmlocks.search.verdict import Exploration
from tests.machine import test_counters, test_locks, test_merging, test_programs
from tests.search import test_dpor, test_exclusion, test_reduction, test_search

Inject = Callable[[pytest.MonkeyPatch], None]


class Mutation(NamedTuple):
    """A fault, and a test (with its parameters) that fails because of it."""

    inject: Inject
    caught_by: Callable[..., None]
    parameters: tuple[Any, ...] = ()


def replace_operation(patch: pytest.MonkeyPatch, name: str, **change: Any) -> None:
    patch.setitem(OPERATIONS, name, replace(OPERATIONS[name], **change))


# -- the machine ------------------------------------------------------------------------------------------------------


def a_blocked_cpu_is_never_woken(patch: pytest.MonkeyPatch) -> None:
    """Once a step was blocked, it is taken to be blocked for ever."""
    stuck: set[tuple[int, int, Any]] = set()

    def forgetful(view: View, cpu: int, asked: Any) -> Any:
        which = id(view.layout), cpu, asked
        result = BLOCKED if which in stuck else perform(view, cpu, asked)
        if result is BLOCKED:
            stuck.add(which)
        return result

    patch.setattr("mmlocks.machine.machine.perform", forgetful)


def outcomes_are_remembered_without_a_cell_that_was_read(patch: pytest.MonkeyPatch) -> None:
    bits = Task._bits
    patch.setattr(Task, "_bits", lambda task, touched: bits(task, touched & touched - 1))


def true_is_taken_for_one(patch: pytest.MonkeyPatch) -> None:
    for module in (state, values, task):
        patch.setattr(module, "exact", lambda value: value)


def what_is_done_together_happens_as_far_as_it_can(patch: pytest.MonkeyPatch) -> None:
    """Where a part blocks, the parts before it have happened all the same."""

    def run(view: View, cpu: int, *parts: Any) -> Any:
        results = [perform(view, cpu, part) for part in parts]
        return tuple(None if result is BLOCKED else result for result in results)

    replace_operation(patch, "together", run=run)


def two_cells_share_a_bit(patch: pytest.MonkeyPatch) -> None:
    add = Layout._add

    def tight(layout: Layout, cell: Any, initial: Any) -> Any:
        added = add(layout, cell, initial)
        layout._next_bit -= cell.bits - 1
        return added

    patch.setattr(Layout, "_add", tight)


def a_subtraction_is_taken_to_commute(patch: pytest.MonkeyPatch) -> None:
    replace_operation(patch, "add", touches=lambda layout, cpu, index, n: touching(adds=[index]))


def undeclared_accesses_pass(patch: pytest.MonkeyPatch) -> None:
    class Lenient(View):
        def __init__(self, layout: Layout, now: int, readable: int, writable: int) -> None:
            super().__init__(layout, now, -1, -1)

    patch.setattr("mmlocks.machine.machine.View", Lenient)


def a_writer_overlooks_readers(patch: pytest.MonkeyPatch) -> None:
    def down_write(view: View, cpu: int, writer: int, wait: bool) -> Any:
        if view[writer]:
            return BLOCKED if wait else False
        view[writer] = cpu + 1
        return True

    replace_operation(patch, "down_write", run=down_write)


def deadlocks_pass_for_endings(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Machine, "deadlock", lambda machine, now: None)


def contents_do_not_count(patch: pytest.MonkeyPatch) -> None:
    """Of what a task has in mind only the kind counts, not the contents."""
    patch.setattr(Freezer, "_inside", lambda freezer, item: ())


def locals_alone_count(patch: pytest.MonkeyPatch) -> None:
    """Moments are merged without a look at the value stack."""

    def frame(freezer: Freezer, link: Any) -> Any:
        bound = link.frame.f_locals
        return (
            link.code,
            link.frame.f_lasti,
            tuple((name, freezer.value(bound[name])) for name in bound),
        )

    patch.setattr(Freezer, "frame", frame)


def an_ending_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    """All but the first."""
    end = Exploration.end

    def forgetful(found: Exploration, machine: Machine, now: int) -> Any:
        kept = set(found.endings)
        violation = end(found, machine, now)
        if kept:
            found.endings.intersection_update(kept)
        return violation

    patch.setattr(Exploration, "end", forgetful)


# -- DPOR -------------------------------------------------------------------------------------------------------------


def nobody_sleeps(patch: pytest.MonkeyPatch) -> None:
    """What has been followed is forgotten as soon as another step is taken."""
    patch.setattr(dpor, "_Prefix", lambda *parts: _Prefix(*parts[:-1], []))


def a_read_and_a_write_do_not_race(patch: pytest.MonkeyPatch) -> None:
    def clashing(footprint: Footprint, cells: int) -> int:
        return (footprint.writes | footprint.adds) << cells

    patch.setattr(dpor, "clashing", clashing)


def a_race_that_cannot_be_reversed_is_given_up(patch: pytest.MonkeyPatch) -> None:
    """A lock cannot be taken before its release, and nobody tries to take it before the other takes it."""
    plan = _Search.plan
    patch.setattr(_Search, "plan", lambda search, event, first: plan(search, event, first) or True)


def who_waits_at_the_end_races_with_nobody(patch: pytest.MonkeyPatch) -> None:
    plan = _Search.plan_reversals

    def without_pending(search: _Search) -> None:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(_Search, "pending", lambda *_: iter(()))
            plan(search)

    patch.setattr(_Search, "plan_reversals", without_pending)


def a_broken_rule_ends_everything(patch: pytest.MonkeyPatch) -> None:
    able = _Search.able
    patch.setattr(
        _Search, "able", lambda search, here: iter(()) if here.broke else able(search, here)
    )


def only_the_first_step_is_planned(patch: pytest.MonkeyPatch) -> None:
    insert = dpor._insert
    patch.setattr(dpor, "_insert", lambda plan, sequence: insert(plan, sequence[:1]))


def the_last_step_alone_races(patch: pytest.MonkeyPatch) -> None:
    reverse = _Search.reverse

    def last_only(search: _Search, event: _Event, around: int, movable: int) -> None:
        if event is search.events[-1]:
            reverse(search, event, around, movable)

    patch.setattr(_Search, "reverse", last_only)


def spinning_passes_for_an_ending(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(_Search, "spinning", lambda search, here: [])


MUTATIONS = [
    Mutation(a_blocked_cpu_is_never_woken, test_programs.test_the_search_knows_the_answer, ("grace_period", False)),
    Mutation(outcomes_are_remembered_without_a_cell_that_was_read, test_programs.test_the_search_knows_the_answer, ("lock_order", False)),
    Mutation(true_is_taken_for_one, test_merging.test_values_that_python_calls_equal_are_two_results, (True, 1)),
    Mutation(what_is_done_together_happens_as_far_as_it_can, test_locks.test_a_step_that_blocks_as_a_whole_changes_nothing),
    Mutation(two_cells_share_a_bit, test_programs.test_the_search_knows_the_answer, ("bakery", False)),
    Mutation(a_subtraction_is_taken_to_commute, test_counters.test_a_subtraction_that_may_come_too_early_is_found, (True,)),
    Mutation(undeclared_accesses_pass, test_locks.test_an_operation_that_touches_what_it_does_not_declare_is_an_error, (test_locks.reads_too_much, "a step read secret")),
    Mutation(a_writer_overlooks_readers, test_programs.test_the_search_knows_the_answer, ("readers_and_writer", False)),
    Mutation(deadlocks_pass_for_endings, test_search.test_a_deadlock_is_found_with_one_preemption),
    Mutation(contents_do_not_count, test_merging.test_what_a_task_has_in_mind_is_not_forgotten, (test_merging.in_a_list,)),
    Mutation(locals_alone_count, test_merging.test_what_a_task_has_in_mind_is_not_forgotten, (test_merging.compares,)),
    Mutation(an_ending_is_forgotten, test_exclusion.test_two_cpus_exclude_each_other, ("peterson", Dpor())),
    Mutation(nobody_sleeps, test_dpor.test_a_family_has_as_many_executions_as_published, ("lastzero(5)",)),
    Mutation(a_read_and_a_write_do_not_race, test_dpor.test_a_family_has_as_many_executions_as_published, ("readers(2)",)),
    Mutation(a_race_that_cannot_be_reversed_is_given_up, test_dpor.test_four_cpus_come_in_any_order_if_their_order_matters, ("locked", 24)),
    Mutation(who_waits_at_the_end_races_with_nobody, test_dpor.test_who_waits_in_vain_might_have_been_first),
    Mutation(a_broken_rule_ends_everything, test_dpor.test_where_one_execution_goes_wrong_the_others_are_followed_all_the_same),
    Mutation(only_the_first_step_is_planned, test_dpor.test_a_family_has_as_many_executions_as_published, ("lastzero(5)",)),
    Mutation(the_last_step_alone_races, test_dpor.test_a_family_has_as_many_executions_as_published, ("readers(8)",)),
    Mutation(spinning_passes_for_an_ending, test_dpor.test_spinning_for_what_never_comes_is_found),
]  # fmt: skip


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.inject.__name__)
def test_a_fault_is_caught(mutation: Mutation) -> None:
    mutation.caught_by(*mutation.parameters)  # with a sound engine, it passes
    with pytest.MonkeyPatch.context() as patch:
        mutation.inject(patch)
        with pytest.raises((Exception, pytest.fail.Exception)):
            mutation.caught_by(*mutation.parameters)


def test_faults_are_many_and_not_all_caught_by_the_same_test() -> None:
    assert len(MUTATIONS) + len(test_reduction.MUTATIONS) > 20
    assert len({mutation.caught_by for mutation in MUTATIONS}) > 10
