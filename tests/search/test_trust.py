"""Searches that look at different executions must say the same. They share the machine, but hardly a line of the search.

What they have to agree on:

* every ending, and every deadlock;
* the broken rules: the full search and DPOR find the same ones, message for message. The reduced search keeps one order of steps that commute, and ends an
  execution at the first rule that is broken. So of two CPUs that break rules of their own it may see only one. Where a single CPU breaks
  rules, it finds all of them;
* whether anything can go round for ever.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings

from mmlocks.machine import Machine, Violation
from mmlocks.releases import RELEASES, Release
from mmlocks.scenarios import SCENARIOS, Scenario, machine_for
from mmlocks.scenarios.checking import as_kernel
from mmlocks.search import Budget, Dpor, Exhaustive, Strategy
from mmlocks.search.endless import never_ending
from mmlocks.search.verdict import Meter
from tests.helpers import Build, deadlocks, decoded
from tests.machine.programs import PROGRAMS
from tests.machine.random_programs import machine, programs

pytestmark = pytest.mark.slow  # all of it together: nothing here depends on the Python that runs it

AMPLE = Budget(5_000_000, 300.0)


class Findings(NamedTuple):
    endings: frozenset[tuple[tuple[str, Any], ...]]
    violations: frozenset[Violation]
    endless: bool
    reason: str = ""


def findings(searched: Machine, strategy: Strategy, budget: Budget = AMPLE) -> Findings:
    """What a strategy finds in the whole of a program. Each is given a machine of its own, for which it has to discover the tasks itself."""
    found = strategy.explore(searched, Meter(budget), stop=False)
    assert not found.left_out, found.left_out
    endings = frozenset(decoded(searched, ending) for ending in found.endings)
    endless = not found.reason and never_ending(searched, found.seen, Meter(AMPLE)) is not None
    return Findings(endings, frozenset(found.violations), endless, found.reason)


def of_one_cpu(violations: frozenset[Violation]) -> bool:
    """Whether a single CPU broke all these rules. Deadlocks of all CPUs are nobody's."""
    of_all = deadlocks(violations)
    culprits = {each.message.partition(":")[0] for each in violations if each.message not in of_all}
    return len(culprits) <= 1


def agreed(build: Build, steps: int = 10_000) -> Findings:
    """What DPOR finds, with a `reason` if that would take more steps. An AssertionError if the searches do not agree."""
    full = findings(build(), Exhaustive(reduced=False))
    dpor = findings(build(), Dpor(), Budget(steps, 300.0))
    if not dpor.reason:
        assert dpor == full
    reduced = findings(build(), Exhaustive())
    assert reduced.endings == full.endings
    assert reduced.violations <= full.violations
    assert bool(reduced.violations) == bool(full.violations)
    assert deadlocks(reduced.violations) == deadlocks(full.violations)
    if of_one_cpu(full.violations):
        assert reduced.violations == full.violations
    if not full.violations:
        assert reduced.endless == full.endless
    return dpor


@pytest.mark.parametrize("name", PROGRAMS)
def test_searches_agree_on_a_program(name: str) -> None:
    found = agreed(PROGRAMS[name].build)
    oracles = {violation.oracle for violation in found.violations}
    assert not found.reason
    assert oracles == ({PROGRAMS[name].breaks} if PROGRAMS[name].breaks else set())


def fresh(scenario: Scenario, release: Release) -> Machine:
    return machine_for(scenario, as_kernel(release))[0]


SEVERAL_THOUSAND = {
    "fork_lost_store", "young_reproducer", "stack_find_again", "anon_vma_unlocked_check", "munmap_downgrade",
}  # fmt: skip
"""Scenarios that have too many distinct executions for a quick look."""
REPRESENTATIVE = ["6.3", "6.4.0", "6.4.3", "6.4.10"]


@pytest.mark.parametrize("release", REPRESENTATIVE)
@pytest.mark.parametrize("name", [name for name in SCENARIOS if name not in SEVERAL_THOUSAND])
def test_searches_agree_on_a_scenario(name: str, release: str) -> None:
    kernel = as_kernel(release)
    if not SCENARIOS[name].lacking(kernel.release):
        assert not agreed(partial(fresh, SCENARIOS[name], kernel.release)).reason


@pytest.mark.parametrize("release", ["6.3", "6.4.3"])
def test_searches_agree_on_the_lost_store(release: str) -> None:
    """Three CPUs: 701 and 2,021 distinct executions."""
    found = agreed(
        partial(fresh, SCENARIOS["fork_lost_store"], as_kernel(release).release), steps=20_000
    )
    assert not found.reason


@pytest.mark.slow
def test_searches_agree_on_all_scenarios_of_two_cpus_below_a_size() -> None:
    compared = 0
    for scenario in SCENARIOS.values():
        for release in RELEASES.values():
            if scenario.cpus == 2 and not scenario.lacking(release):
                compared += not agreed(partial(fresh, scenario, release), steps=5_000).reason
    assert compared > 100


def test_a_rule_that_is_broken_at_once_hides_nothing_from_the_reduction() -> None:
    """cpu0 takes what is not there yet, unless cpu1 is faster. Of cpu1 not even its second step is known when cpu0 could go first."""
    found = agreed(
        lambda: machine(((("fetch", -1),), (("glance", "b"), ("add", 1)), (("load", "a"),)))
    )
    assert (len(found.violations), len(found.endings)) == (1, 1)


@given(programs())
@settings(max_examples=150)
def test_searches_agree_on_a_random_program(program: Any) -> None:
    agreed(lambda: machine(program))


@pytest.mark.slow
@given(programs())
@settings(max_examples=2_000)
def test_searches_agree_on_thousands_of_random_programs(program: Any) -> None:
    agreed(lambda: machine(program), steps=2_000)


def test_the_random_programs_do_all_that_programs_can_do() -> None:
    """Else their agreement would say little: they end, deadlock, go round for ever, and break rules in many ways."""
    oracles: set[str] = set()
    endings: set[int] = set()
    endless: set[bool] = set()

    @given(programs())
    @settings(max_examples=150)
    def look(program: Any) -> None:
        found = findings(machine(program), Exhaustive())
        oracles.update(violation.oracle for violation in found.violations)
        endings.add(len(found.endings))
        endless.add(found.endless)

    look()
    assert oracles >= {"check", "deadlock", "lock_misuse", "mistake"}
    assert endless == {True, False}
    assert max(endings) >= 4
