"""Executions that never end are found, with reduction as without."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings

from mmlocks.search import judge
from tests.helpers import tasks_on_cells
from tests.machine.random_programs import machine, programs


@given(program=programs())
@settings(max_examples=150)
def test_a_random_program_is_judged_alike_with_and_without_reduction(program: Any) -> None:
    reduced, full = judge(machine(program)), judge(machine(program), reduced=False)
    assert reduced.outcome == full.outcome
    never_ends = [
        verdict.violation is not None and "never ends" in verdict.violation.message
        for verdict in (reduced, full)
    ]
    if any(never_ends):  # a violation that ends an execution is reported first, where there is one
        assert all(never_ends)


async def spins_until_a(a, b, c, out):
    while not await a:
        pass


async def spins_until_b(a, b, c, out):
    while not await b:
        pass


async def sets_a(a, b, c, out):
    await a.set(1)


async def sets_a_once_b_is_set(a, b, c, out):
    while not await b:
        pass
    await a.set(1)


def test_a_spin_that_somebody_ends_is_none_of_them() -> None:
    assert judge(tasks_on_cells(spins_until_a, sets_a)()).outcome == "safe"


def test_two_that_spin_for_each_other_never_end_and_the_way_there_is_shown() -> None:
    verdict = judge(tasks_on_cells(spins_until_b, sets_a_once_b_is_set)())
    assert verdict.outcome == "violated"
    assert verdict.violation is not None
    assert "never ends" in verdict.violation.message
    assert verdict.schedule is not None


def test_without_the_second_look_it_would_be_called_safe(monkeypatch: Any) -> None:
    monkeypatch.setattr("mmlocks.search.judging.never_ending", lambda *_: None)
    assert judge(tasks_on_cells(spins_until_b, sets_a_once_b_is_set)()).outcome == "safe"
