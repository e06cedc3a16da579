"""The order of locks: a small lockdep, read off automata."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from mmlocks.machine import Layout, Machine, RwSem, SpinLock, together
from mmlocks.oracles.lock_order import DOCUMENTED, NESTED, LockOrder, lock_order, order_is_kept
from mmlocks.releases import NEWEST, RELEASES, release_named
from mmlocks.scenarios import SCENARIOS, check, replay
from mmlocks.search import judge


def searched(
    *tasks: Callable[[Any, Any, Any], Any], names: tuple[str, str] = ("x.first", "y.second")
) -> Machine:
    """Tasks that take two spinlocks, and a third that may keep them apart; the machine after a whole search that found nothing."""
    layout = Layout(len(tasks))
    locks = [SpinLock(layout, name) for name in (*names, "outer")]

    def starting(task: Callable[..., Any]) -> Callable[[], Any]:
        return lambda: task(*locks)

    machine = Machine(layout, [(task.__name__, starting(task)) for task in tasks])
    assert judge(machine).outcome == "safe"
    return machine


async def forth(first: Any, second: Any, outer: Any) -> None:
    await outer.lock()
    await first.lock()
    await second.lock()
    await together(second.unlock(), first.unlock())
    await outer.unlock()


async def back(first: Any, second: Any, outer: Any) -> None:
    await outer.lock()
    await second.lock()
    await first.lock()
    await together(second.unlock(), first.unlock())
    await outer.unlock()


async def back_by_trying(first: Any, second: Any, outer: Any) -> None:
    await outer.lock()
    await second.lock()
    if await first.try_lock():
        await first.unlock()
    await second.unlock()
    await outer.unlock()


async def one_after_the_other(first: Any, second: Any, outer: Any) -> None:
    await second.lock()
    await second.unlock()
    await first.lock()
    await first.unlock()


def kinds(order: LockOrder) -> set[tuple[str, str]]:
    return {key for key in order.edges if "outer" not in key}


def test_both_orders_are_a_cycle_though_nobody_can_deadlock() -> None:
    """A third lock keeps the two apart, so the search finds nothing. Whoever changes that one will be sorry."""
    machine = searched(forth, back)
    cycle = lock_order([machine]).cycle()
    assert [(edge.held.kind, edge.wanted.kind) for edge in cycle] == [
        ("first", "second"),
        ("second", "first"),
    ]
    assert [edge.cpu for edge in cycle] == [0, 1]
    found = order_is_kept(machine)
    assert found is not None
    assert found.violation.oracle == "lock_order"
    for site in ("forth", "back"):
        assert found.violation.message.count(f"taken in {site} (test_lock_order.py, line") == 1
    assert "cpu0 takes y.second in forth (test_lock_order.py, line" in found.violation.message
    assert "cpu1 takes x.first in back (test_lock_order.py, line" in found.violation.message


def test_one_order_is_none() -> None:
    assert order_is_kept(searched(forth, forth)) is None
    assert kinds(lock_order([searched(forth, one_after_the_other)])) == {("first", "second")}


def test_who_only_tries_waits_for_nobody() -> None:
    assert order_is_kept(searched(forth, back_by_trying)) is None


def test_a_lock_that_was_got_by_trying_is_held() -> None:
    async def tries(first: Any, second: Any, outer: Any) -> None:
        if await second.try_lock():
            await first.lock()
            await first.unlock()
            await second.unlock()

    async def alone(first: Any, second: Any, outer: Any) -> None:
        """Only so that the other may fail."""
        await second.lock()
        await second.unlock()

    assert kinds(lock_order([searched(tries, alone)])) == {("second", "first")}


def test_two_programs_make_a_cycle_together() -> None:
    one, other = searched(forth), searched(back)
    assert not lock_order([one]).cycle()
    assert not lock_order([other]).cycle()
    assert len(lock_order([one, other]).cycle()) == 2


def test_two_locks_of_one_kind_are_a_cycle_unless_somebody_said_why_not() -> None:
    assert len(lock_order([searched(forth, names=("x.same", "y.same"))]).cycle()) == 1
    assert "ptl" in NESTED
    assert not lock_order([searched(forth, names=("x.ptl", "y.ptl"))]).cycle()


def test_the_shortest_cycle_is_shown() -> None:
    layout = Layout(1)
    locks = {name: SpinLock(layout, f"a.{name}") for name in "abcd"}

    async def pairs() -> None:
        for held, wanted in ("ab", "bc", "cd", "da", "ca"):
            await locks[held].lock()
            await locks[wanted].lock()
            await locks[wanted].unlock()
            await locks[held].unlock()

    machine = Machine(layout, [("pairs", pairs)])
    judge(machine)
    assert [edge.held.kind for edge in lock_order([machine]).cycle()] == ["a", "b", "c"]


def test_against_the_documented_order_without_a_cycle() -> None:
    machine = searched(back, names=("x.page_table_lock", "y.ptl"))
    assert not lock_order([machine]).cycle()
    found = order_is_kept(machine)
    assert found is not None
    assert found.violation.message.endswith("take page_table_lock before ptl")


def test_a_semaphore_is_held_until_it_is_given_up_in_whatever_mode() -> None:
    layout = Layout(1)
    semaphore, lock = RwSem(layout, "a.semaphore"), SpinLock(layout, "a.lock")

    async def task() -> None:
        await semaphore.down_write()
        await semaphore.downgrade()
        await lock.lock()
        await lock.unlock()
        await semaphore.up_read()
        await lock.lock()
        await lock.unlock()

    machine = Machine(layout, [("task", task)])
    judge(machine)
    (edge,) = lock_order([machine]).edges.values()
    assert not edge.held.writes
    assert "task" in edge.held.site


# -- the kernel -------------------------------------------------------------------------------------------------------


def test_the_newest_release_takes_all_locks_in_the_documented_order() -> None:
    """Over all scenarios together, and each edge of the order occurs."""
    order = lock_order([check(scenario, NEWEST).machine for scenario in SCENARIOS.values()])
    assert not order.cycle()
    assert not order.against()
    seen = set(order.edges)
    for held, wanted in (
        ("mmap_lock", "vm_lock"),
        ("vm_lock", "i_mmap_rwsem"),
        ("mmap_lock", "page_table_lock"),
    ):
        assert (held, wanted) in seen, str(order)
    assert {kind for key in seen for kind in key} <= set(DOCUMENTED)


def test_a_write_locked_vma_counts_though_lockdep_does_not_know() -> None:
    """Of a VMA, fork holds no semaphore when it takes a page-table lock; a fault does."""
    fork_alone = check(SCENARIOS["fork_lost_store"], "6.6-like").machine
    edges = [
        edge
        for edge in _all(fork_alone)
        if (edge.held.kind, edge.wanted.kind) == ("vm_lock", "ptl")
    ]
    assert {(edge.cpu == 0, edge.lockdep) for edge in edges} == {(True, False), (False, True)}


def _all(machine: Machine) -> list[Any]:
    from mmlocks.oracles.lock_order import dependencies

    return list(dependencies(machine))


WRONG_WAY = "6.6-like-new_vma_locked_first"


@pytest.mark.parametrize("release", [WRONG_WAY, "6.4.3-new_vma_locked_first"])
def test_the_inversion_of_july_2023(release: str) -> None:
    """1c7873e33645: found by lockdep in a program that cannot deadlock."""
    scenario = SCENARIOS["imap_lock_order"]
    without = dataclasses.replace(
        scenario, oracles=tuple(name for name in scenario.oracles if name != "lock_order")
    )
    assert check(without, release).verdict.outcome == "safe"
    checked = check(scenario, release, also=("lock_order",))
    verdict = checked.verdict
    assert verdict.outcome == "violated"
    assert verdict.violation is not None and verdict.violation.oracle == "lock_order"
    message = verdict.violation.message
    assert message.startswith(
        "lock order i_mmap_rwsem -> vm_lock -> i_mmap_rwsem: cpu0 takes vma0.vm_lock"
    )
    assert "called from mmap_region (mm/syscalls/mmap.py:" in message
    assert "in rmap_walk_file (mm/reclaim.py:" in message
    (inner, outer) = (edge for edge in lock_order([checked.machine]).cycle())
    assert inner.lockdep and outer.lockdep, "Linux's lockdep has both edges, and found it"
    # The schedule's last step takes the one lock while the other is held.
    run = checked.run
    assert run is not None and run.over and run.violation == verdict.violation
    assert run.taken[-1].cpu == 0 and run.taken[-1].step.op == "down_write"
    assert run.machine.layout.named("journal.i_mmap_rwsem").of(run.state) == 1
    assert run.machine.layout.named("vma0.vm_lock").of(run.state) == 0
    assert run.told(len(run) - 1) == message
    repaired = release_named(release).with_patch("new_vma_locked_first")
    assert check(scenario, repaired, also=("lock_order",)).verdict.outcome == "safe"


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(
    "name", ["fork_lost_store", "stackrot", "merge_dup_anon_vma", "imap_lock_order"]
)
def test_no_release_that_was_shipped_has_a_cycle(name: str, release: str) -> None:
    verdict = check(SCENARIOS[name], release, also=("lock_order",)).verdict
    assert verdict.violation is None or verdict.violation.oracle != "lock_order"


def test_a_run_that_shows_a_wrong_order_can_be_replayed_from_its_text() -> None:
    checked = check(SCENARIOS["imap_lock_order"], "6.6-like-new_vma_locked_first")
    _, _, run = replay(str(checked.schedule))
    assert run.violation == checked.verdict.violation
    assert run.violation is not None and run.violation.oracle == "lock_order"
