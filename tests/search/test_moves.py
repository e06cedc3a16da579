"""How searches enumerate moves, and how often they look at the clock."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from mmlocks.machine import Violation
from mmlocks.search import Budget
from mmlocks.search.verdict import Cancelled, Meter
from tests.machine.programs import PROGRAMS
from tests.machine.random_programs import machine, programs


@given(program=programs())
@settings(max_examples=30)
def test_moves_are_the_steps_that_can_be_taken_in_every_state(program: Any) -> None:
    searched = machine(program)
    work, seen = [searched.initial], {searched.initial}
    while work and len(seen) < 300:
        state = work.pop()
        moves = dict(searched.moves(state))
        assert list(moves) == sorted(moves)
        for cpu in searched.cpus:
            taken = searched.step(state, cpu)
            assert (taken is None) == (cpu not in moves)
            assert searched.after(state, cpu) == moves.get(cpu)
            if taken is not None:
                assert moves[cpu] == (taken.violation or taken.state)
        if not moves:
            bad = searched.ends_badly(state)
            assert (bad is not None and bad.oracle == "deadlock") == (not searched.finished(state))
        for after in moves.values():
            if not isinstance(after, Violation) and after not in seen:
                seen.add(after)
                work.append(after)


def test_a_final_state_is_judged_and_any_other_is_a_deadlock() -> None:
    stuck = PROGRAMS["lock_order"].build()
    state = stuck.initial
    for cpu in (0, 1):  # each takes its first lock
        after = stuck.after(state, cpu)
        assert isinstance(after, int)
        state = after
    while moves := dict(stuck.moves(state)):
        after = next(iter(moves.values()))
        assert isinstance(after, int)
        state = after
    bad = stuck.ends_badly(state)
    assert bad is not None and bad.oracle == "deadlock"


def test_a_meter_looks_at_the_budget_once_in_so_many_ticks() -> None:
    looks = list[int]()

    def progress(states: int, _transitions: int, _seconds: float) -> bool:
        looks.append(states)
        return True

    meter = Meter(Budget(states=10), progress)
    for states in range(1, 10):
        meter.tick(states)
    with pytest.raises(Cancelled, match="budget of 10 states"):
        meter.tick(10)
    assert meter.every == 5
    assert looks == [5]
    assert meter.ticks == 10
