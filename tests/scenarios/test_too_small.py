"""A scenario that is too small says so: the search ends without a verdict, and blames the scenario, whoever asks for more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mmlocks.errors import ScenarioTooSmall
from mmlocks.machine import Layout, Machine
from mmlocks.mm import Kernel, vm_area_dup, vma_alloc_folio
from mmlocks.releases import RELEASES
from mmlocks.scenarios import SCENARIOS, check
from mmlocks.search import Budget, judge
from mmlocks.search.strategies import strategy_named


async def stores_too_many(cell: Any, counter: Any) -> None:
    for number in range(300):
        await cell.set(number)


async def counts_too_far(cell: Any, counter: Any) -> None:
    for _ in range(300):
        await counter.add(1)


async def counts_below_nothing(cell: Any, counter: Any) -> None:
    await counter.add(-1)


async def stores_no_number(cell: Any, counter: Any) -> None:
    await counter.set("many")


def program(task: Callable[..., Any]) -> Machine:
    layout = Layout(1)
    cell, counter = layout.cell("cell", 0), layout.counter("counter")
    return Machine(layout, [("task", lambda: task(cell, counter))])


@pytest.mark.parametrize(
    ("task", "says"),
    [
        (stores_too_many, "cell cell has met 256 different values"),
        (counts_too_far, "counter counter cannot hold 256"),
    ],
)
@pytest.mark.parametrize("strategy", [None, "dpor", "pct:2", "random:3", "preemptions:1"])
def test_a_cell_without_room_ends_every_search_without_a_verdict(
    task: Callable[..., Any], says: str, strategy: str | None
) -> None:
    verdict = judge(program(task), strategy=strategy and strategy_named(strategy))
    assert verdict.outcome == "unproved" and verdict.violation is None
    assert verdict.too_small
    assert (
        says in verdict.coverage
        and f"in {task.__name__} (test_too_small.py, line" in verdict.coverage
    )


@pytest.mark.parametrize("task", [counts_below_nothing, stores_no_number])
def test_what_no_larger_counter_could_hold_is_the_programs_mistake(
    task: Callable[..., Any],
) -> None:
    verdict = judge(program(task))
    assert verdict.violation is not None and verdict.violation.oracle == "mistake"
    assert not verdict.too_small


def test_a_budget_that_is_used_up_does_not_blame_the_scenario() -> None:
    verdict = check("young_reproducer", "6.4.3", Budget(states=100)).verdict
    assert verdict.outcome == "unproved" and not verdict.too_small


async def one_vma_too_many(mm: Any, oldmm: Any) -> None:
    await vm_area_dup(mm, oldmm.vmas[0])
    await vm_area_dup(mm, oldmm.vmas[0])


async def one_frame_too_many(mm: Any, oldmm: Any) -> None:
    await vma_alloc_folio(oldmm, 3, None)


async def one_value_too_many(mm: Any, oldmm: Any) -> None:
    for number in range(100):
        await oldmm.vmas[0].vm_flags.set(number)


@pytest.mark.parametrize(
    ("dup_mmap", "says"),
    [
        (one_vma_too_many, "cpu0 has no VMA of child left to allocate (there were 1)"),
        (one_frame_too_many, "cpu0 has no free frame left for P3 (there were 0)"),
        (one_value_too_many, "cell heap.vm_flags has met 8 different values"),
    ],
)
def test_the_reason_names_the_scenario_and_what_it_lacks(
    dup_mmap: Callable[..., Any], says: str
) -> None:
    checked = check("fork_lost_store", Kernel(RELEASES["6.4.0"], {"dup_mmap": dup_mmap}))
    assert checked.verdict.outcome == "unproved"
    assert checked.verdict.reason.startswith(
        "the scenario fork_lost_store is too small for this program: "
    )
    assert says in checked.verdict.reason


def test_code_that_asks_for_more_at_random_is_told_that_it_is_not_deterministic() -> None:
    import random

    async def dup_mmap(mm: Any, oldmm: Any) -> None:
        await oldmm.mm_lock_seq.set(16 + random.randrange(10**9))

    verdict = check("fork_lost_store", Kernel(RELEASES["6.4.0"], {"dup_mmap": dup_mmap})).verdict
    assert verdict.violation is not None and "with the same results" in verdict.violation.message


def test_a_final_state_that_has_no_room_is_no_verdict_either() -> None:
    machine = program(lambda cell, counter: _sets(cell))

    def full(state: int) -> None:
        raise ScenarioTooSmall("the referee has room for no more")

    machine._judge = full
    verdict = judge(machine)
    assert verdict.outcome == "unproved" and "the referee has room for no more" in verdict.reason


async def _sets(cell: Any) -> None:
    await cell.set(1)


def test_the_player_says_where_the_scenario_ends() -> None:
    from mmlocks.notebook.scheduler import PlayerSession

    session = PlayerSession(
        replace(SCENARIOS["fork_lost_store"]), "6.4.0", {"dup_mmap": one_frame_too_many}
    )
    session.step(0)
    assert "too small" in session.note and "no free frame left for P3" in session.note
