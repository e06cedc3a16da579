"""A search says what it found, how far it got, and the same thing every time."""

from __future__ import annotations

import dataclasses
import importlib
import itertools
from typing import Any

import pytest

from mmlocks.machine import Machine, Run
from mmlocks.scenarios import SCENARIOS, check, machine_for
from mmlocks.scenarios.checking import as_kernel
from mmlocks.scenarios.fork_many import fork_many
from mmlocks.search import Budget, Verdict, judge, possible
from mmlocks.search import verdict as verdict_module
from tests.helpers import tasks_on_cells
from tests.machine.programs import PROGRAMS, increment, lock_order, peterson

shortest_module = importlib.import_module(
    "mmlocks.search.shortest"
)  # the package exports a function of that name


def large(release: str = "6.4.3") -> Machine:
    return machine_for(fork_many(2, 3), as_kernel(release))[0]


def counted(verdict: Verdict) -> Verdict:
    return dataclasses.replace(verdict, seconds=0.0)


# -- budgets ----------------------------------------------------------------------------------------------------------


def test_a_budget_of_states_ends_in_unproved() -> None:
    verdict = judge(large(), Budget(states=1_000))
    assert (verdict.outcome, verdict.reason) == ("unproved", "budget of 1,000 states reached")
    assert verdict.violation is None
    assert verdict.schedule is None
    assert "1,000 states reached" in verdict.coverage
    assert "the rest is unknown" in verdict.coverage


def test_a_budget_of_seconds_ends_in_unproved() -> None:
    verdict = judge(large(), Budget(seconds=0.0))
    assert (verdict.outcome, verdict.reason) == ("unproved", "budget of 0 seconds reached")


def test_a_budget_that_suffices_is_not_mentioned() -> None:
    verdict = judge(increment("locked"))
    assert (verdict.outcome, verdict.reason) == ("safe", "")
    assert verdict.coverage.startswith(
        "all interleavings searched (one order of each set of steps that commute): "
    )
    assert "every order of steps" in judge(increment("locked"), reduced=False).coverage


def test_a_violation_found_within_the_budget_stands() -> None:
    """Found early, though a search of everything would have taken more."""
    verdict = judge(large("6.4.0"), Budget(states=40_000))
    assert verdict.outcome == "violated"


def test_a_false_answer_to_progress_cancels() -> None:
    seen: list[tuple[int, int, float]] = []

    def progress(states: int, transitions: int, seconds: float) -> bool:
        seen.append((states, transitions, seconds))
        return False

    verdict = judge(large(), progress=progress)
    assert (verdict.outcome, verdict.reason) == ("unproved", "cancelled")
    assert len(seen) == 1
    assert verdict.states < 5_000


def test_progress_grows() -> None:
    seen: list[tuple[int, int, float]] = []

    def progress(states: int, transitions: int, seconds: float) -> bool:
        seen.append((states, transitions, seconds))
        return True

    verdict = judge(large(), progress=progress, reduced=False)
    assert verdict.outcome == "safe"
    assert len(seen) > 2
    during = [numbers for numbers in seen if numbers[0]]
    assert all(one[1] < two[1] and one[2] <= two[2] for one, two in itertools.pairwise(during))
    assert during[-1][0] <= verdict.states


def interrupt(states: int, transitions: int, seconds: float) -> bool:
    raise KeyboardInterrupt


def test_ctrl_c_ends_in_unproved() -> None:
    verdict = judge(large(), progress=interrupt)
    assert (verdict.outcome, verdict.reason) == ("unproved", "interrupted")


def test_ctrl_c_ends_possible_without_an_answer() -> None:
    witness = possible(large(), lambda state: False, progress=interrupt)
    assert (witness.found, witness.reason) == (None, "interrupted")


def test_ctrl_c_while_minimising_keeps_the_violation_and_a_schedule() -> None:
    machine = machine_for(SCENARIOS["young_reproducer"], as_kernel("6.4.0"))[0]
    calls = itertools.count()

    def progress(states: int, transitions: int, seconds: float) -> bool:
        if next(calls) == interrupted_at:
            raise KeyboardInterrupt
        return True

    interrupted_at = -1
    judge(machine_for(SCENARIOS["young_reproducer"], as_kernel("6.4.0"))[0], progress=progress)
    interrupted_at, calls = (
        next(calls) - 1,
        itertools.count(),
    )  # the last call of all is the minimising search's
    verdict = judge(machine, progress=progress)
    assert (verdict.outcome, verdict.minimal) == ("violated", False)
    assert verdict.schedule is not None
    assert Run.replay(machine, verdict.schedule).violation == verdict.violation


# -- verdicts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "release"),
    [("fork_lost_store", "6.4.0"), ("fork_lost_store", "6.4.3"), ("young_reproducer", "6.4.0")],
)
def test_the_same_check_gives_the_same_verdict(name: str, release: str) -> None:
    one, two = (check(SCENARIOS[name], release) for _ in range(2))
    assert counted(one.verdict) == counted(two.verdict)
    assert str(one.schedule) == str(two.schedule)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_same_program_gives_the_same_verdict(name: str) -> None:
    one, two = (judge(PROGRAMS[name].build()) for _ in range(2))
    assert counted(one) == counted(two)


def test_a_machine_can_be_searched_again() -> None:
    machine = peterson()
    first = judge(machine)
    second = judge(machine, reduced=False)
    assert (first.outcome, second.outcome) == ("safe", "safe")
    assert counted(judge(machine, reduced=False)) == counted(second)


def bad_after(steps: int) -> Any:
    async def bad(a, b, c, out):
        for _ in range(steps):
            await b
        await a.set(await a + 1)
        if await a == 2:
            raise ValueError("bad")

    return bad


def test_a_violation_is_shown_with_the_fewest_preemptions_and_then_the_fewest_steps() -> None:
    """cpu0 after cpu1, or cpu1 after cpu0: neither is interrupted, so no preemption is shown."""
    verdict = judge(tasks_on_cells(bad_after(3), bad_after(0))())
    assert verdict.schedule is not None
    assert verdict.minimal
    assert sum(one != two for one, two in itertools.pairwise(verdict.schedule)) == 1
    assert len(verdict.schedule) == 3 + 3 + 3


def all_schedules(machine: Machine) -> list[tuple[int, int]]:
    """(preemptions, steps) of every execution that breaks a rule, by brute force."""
    costs: list[tuple[int, int]] = []

    def go(run: Run, preemptions: int) -> None:
        if run.violation is not None:
            costs.append((preemptions, len(run)))
            return
        able = run.enabled()
        last = run.taken[-1].cpu if run.taken else None
        for cpu in able:
            go(run.step(cpu), preemptions + (last in able and cpu != last))

    go(Run.of(machine), 0)
    return costs


@pytest.mark.parametrize(
    "name", ["increment", "lock_order", "readers_without_lock", "freed_without_grace_period"]
)
def test_the_schedule_shown_is_the_cheapest_of_all(name: str) -> None:
    machine = PROGRAMS[name].build()
    verdict = judge(machine)
    assert verdict.schedule is not None
    run = Run.of(machine)
    preemptions = 0
    for cpu in verdict.schedule:
        last = run.taken[-1].cpu if run.taken else None
        preemptions += last is not None and last != cpu and last in run.enabled()
        run = run.step(cpu)
    assert (preemptions, len(run)) == min(all_schedules(machine))


def test_a_deadlock_is_found_with_one_preemption() -> None:
    verdict = judge(lock_order())
    assert verdict.schedule in {(0, 1), (1, 0)}


def test_endings_are_counted() -> None:
    verdict = judge(increment("atomically"))
    assert verdict.endings == 1


def test_spinning_for_what_never_comes_is_a_violation() -> None:
    async def spin(a, b, c, out):
        while not await a:
            pass

    violation = judge(tasks_on_cells(spin)()).violation
    assert violation is not None
    assert violation.oracle == "mistake"
    assert "cpu0: once in spin (test_search.py, line" in violation.message
    assert "round for ever" in violation.message


def test_spinning_for_what_comes_in_some_executions_only_is_a_violation() -> None:
    """cpu1 sets the flag unless cpu2 came first; then cpu0 goes round for ever. Blocking instead would be a deadlock."""

    async def spin(a, b, c, out):
        while not await a:
            pass

    async def set_unless(a, b, c, out):
        if not await b:
            await a.set(1)

    async def come(a, b, c, out):
        await b.set(1)

    async def block(a, b, c, out):
        await a.wait_for(1)

    assert judge(tasks_on_cells(block, set_unless, come)()).outcome == "violated"
    assert judge(tasks_on_cells(spin, set_unless, come)()).outcome == "violated"


def test_a_budget_of_memory_ends_in_unproved(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process uses is given here, so that the test does not depend on what others use."""
    monkeypatch.setattr(verdict_module, "megabytes_in_use", lambda: 1e9)
    verdict = judge(large(), Budget(megabytes=250.0), reduced=False)
    assert (verdict.outcome, verdict.reason) == ("unproved", "budget of 250 MB reached")


def test_memory_in_use_is_what_the_system_says() -> None:
    before = verdict_module.megabytes_in_use()
    if before == 0:
        pytest.skip("this system does not say how much memory a process has")
    block = bytearray(b"x") * 50_000_000
    assert verdict_module.megabytes_in_use() - before > 30, len(block)


@pytest.mark.parametrize("where", ["explore", "shortest"])
def test_memory_that_runs_out_is_no_crash(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object) -> None:
        raise MemoryError

    if where == "explore":
        verdict = judge(large(), progress=exhausted, reduced=False)
        assert (verdict.outcome, verdict.reason) == ("unproved", "out of memory")
    else:
        monkeypatch.setattr(shortest_module, "heappop", exhausted)
        verdict = judge(large("6.4.0"))
        assert verdict.outcome == "violated"
        assert verdict.schedule is not None and not verdict.minimal
