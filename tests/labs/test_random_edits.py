"""What the judge says of an answer is what a search without any cleverness says: no moments merged, no steps together, no reduction."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from mmlocks.machine.task import Answer, SplitSupplier, Supplier
from mmlocks.mm.kernel import Kernel
from mmlocks.releases import RELEASES
from mmlocks.scenarios import SCENARIOS, check, machine_for
from mmlocks.scenarios.asked import asked
from mmlocks.search import Budget, judge
from tests.labs.random_edits import FAULT_SIDE, FORK_SIDE, edited, function_of

SCENARIO = asked(SCENARIOS["fork_torn_snapshot"])
"""Two CPUs, a fork and two faults: the smallest scenario in which every edited function runs."""

AMPLE = Budget(states=400_000, seconds=40.0)


class Keyless:
    """A supplier that says of no two moments that they are alike."""

    def __init__(self, whole: Supplier) -> None:
        self._whole = whole

    def answer(self, results: Sequence[Any]) -> Answer:
        return dataclasses.replace(self._whole.answer(results), key=None)

    def verify(self) -> None:
        self._whole.verify()


def plainly(kernel: Kernel) -> str:
    """The verdict of the plain search: the outcome, or "unproved" where it is too large for that."""
    machine, _ = machine_for(
        SCENARIO, kernel, split_together=True, unmerged=frozenset(kernel.replacements)
    )
    suppliers = [(task.name, Keyless(task._supplier)) for task in machine.tasks]
    assert all(isinstance(task._supplier, SplitSupplier) for task in machine.tasks)
    return judge(machine.with_tasks(suppliers), AMPLE, reduced=False).outcome


def agree(seed: int) -> tuple[str, str]:
    name, text = edited(seed)
    kernel = Kernel(RELEASES["6.4.3"], {name: function_of(name, text)})
    judged = check(SCENARIO, kernel, AMPLE).verdict.outcome
    plain = plainly(kernel)
    assert judged == plain or "unproved" in (judged, plain), (
        f"seed {seed}: {judged}, plainly {plain}\n{text}"
    )
    return judged, plain


SEEDS = [pytest.param(seed, marks=[pytest.mark.slow] if seed >= 8 else []) for seed in range(40)]


@pytest.mark.parametrize("seed", SEEDS)
def test_an_edited_function_is_judged_as_a_plain_search_judges_it(seed: int) -> None:
    agree(seed)


@pytest.mark.slow
@pytest.mark.long
def test_three_hundred_edited_functions_are_judged_as_a_plain_search_judges_them() -> None:
    found = [agree(seed) for seed in range(40, 340)]
    decided = [both for both in found if "unproved" not in both]
    assert len(decided) > 250
    assert {judged for judged, _ in decided} == {"safe", "violated"}


def test_the_edits_reach_both_sides_and_are_not_all_alike() -> None:
    made = [edited(seed) for seed in range(40)]
    assert {name for name, _ in made} >= set(FORK_SIDE)
    assert {name for name, _ in made} & set(FAULT_SIDE)
    assert len({text for _, text in made}) > 30
