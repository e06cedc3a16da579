"""Textbook algorithms are proved by every search that can prove, and each way to get them wrong is found."""

from __future__ import annotations

import pytest

from mmlocks.machine import Run
from mmlocks.search import Dpor, Exhaustive, Strategy, judge
from tests.search.exclusion import ALGORITHMS, FAULTS, Fault, bakery

STRATEGIES: dict[str, Strategy] = {
    "reduced": Exhaustive(),
    "full": Exhaustive(reduced=False),
    "dpor": Dpor(),
}
strategies = pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)


@strategies
@pytest.mark.parametrize("name", ALGORITHMS)
def test_two_cpus_exclude_each_other(name: str, strategy: Strategy) -> None:
    verdict = judge(ALGORITHMS[name](), strategy=strategy)
    assert (verdict.outcome, verdict.endings) == ("safe", 2 if name != "bakery" else 1)
    assert not verdict.left_out


@strategies
def test_three_cpus_exclude_each_other_in_the_bakery(strategy: Strategy) -> None:
    verdict = judge(bakery(cpus=3), strategy=strategy)
    assert (verdict.outcome, verdict.left_out) == ("safe", "")


@strategies
@pytest.mark.parametrize(
    ("name", "fault"),
    [(name, fault) for name, faults in FAULTS.items() for fault in faults],
    ids=lambda part: part.name if isinstance(part, Fault) else part,
)
def test_what_was_left_out_is_found_missing(name: str, fault: Fault, strategy: Strategy) -> None:
    verdict = judge(ALGORITHMS[name](fault.name), strategy=strategy)
    assert verdict.violation is not None
    assert verdict.violation.oracle == fault.breaks
    assert verdict.schedule is not None
    run = Run.replay(ALGORITHMS[name](fault.name), verdict.schedule)
    if fault.breaks == "exclusion":
        assert run.violation == verdict.violation
    else:
        assert "goes round for ever" in verdict.violation.message
        assert not run.over


@strategies
@pytest.mark.parametrize("fault", FAULTS["bakery"], ids=lambda fault: fault.name)
def test_a_third_cpu_does_not_hide_what_is_missing_in_the_bakery(
    fault: Fault, strategy: Strategy
) -> None:
    violation = judge(bakery(fault.name, cpus=3), strategy=strategy).violation
    assert violation is not None
    assert violation.oracle == fault.breaks
