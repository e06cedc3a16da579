"""Locks block, hand over, and complain; and an operation touches what it declares, no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mmlocks.errors import ModelError
from mmlocks.machine import (
    Layout,
    Machine,
    Rcu,
    Run,
    RwSem,
    SeqCount,
    SpinLock,
    Step,
    View,
    operation,
    together,
)
from mmlocks.machine.step import OPERATIONS, touching
from mmlocks.search import Budget, Dpor, Exhaustive, judge
from mmlocks.search.verdict import Meter
from tests.helpers import outcome


class Locks:
    def __init__(self, cpus: int) -> None:
        self.layout = Layout(cpus)
        self.spin = SpinLock(self.layout, "spin")
        self.sem = RwSem(self.layout, "sem")
        self.count = SeqCount(self.layout, "count")
        self.rcu = Rcu(self.layout)
        self.result = self.layout.cell("result", None)


def program(*scripts: Callable[[Locks], list[Any]]) -> Machine:
    """A machine whose CPUs take the steps that their scripts list, and leave the last result in `result`."""
    locks = Locks(len(scripts))

    async def task(steps: list[Any]) -> None:
        last = None
        for step in steps:
            last = await step
        await locks.result.set(last)

    return Machine(
        locks.layout, [("task", lambda script=script: task(script(locks))) for script in scripts]
    )


MISUSES: list[tuple[Callable[[Locks], list[Any]], str]] = [
    (
        lambda at: [at.spin.unlock()],
        "cpu0: spin_unlock(spin) by a CPU that does not hold it. Take the lock first.",
    ),
    (
        lambda at: [at.sem.up_read()],
        "cpu0: up_read(sem) by a CPU that does not hold it for reading. Take it first.",
    ),
    (
        lambda at: [at.sem.up_write()],
        "cpu0: up_write(sem) by a CPU that does not hold it for writing. Take it first.",
    ),
    (
        lambda at: [at.sem.down_read(), at.sem.up_write()],
        "cpu0: up_write(sem) by a CPU that does not hold it for writing. Take it first.",
    ),
    (
        lambda at: [at.sem.down_write(), at.sem.up_read()],
        "cpu0: up_read(sem) by a CPU that does not hold it for reading. Take it first.",
    ),
    (
        lambda at: [at.sem.downgrade()],
        "cpu0: downgrade_write(sem) by a CPU that does not hold it for writing.",
    ),
    (
        lambda at: [at.sem.down_read(), at.sem.down_read()],
        "cpu0: down_read(sem) taken twice for reading; with a writer waiting in between, Linux would deadlock. Release it first.",
    ),
    (
        lambda at: [at.sem.down_read(), at.sem.try_read()],
        "cpu0: down_read(sem) taken twice for reading; with a writer waiting in between, Linux would deadlock. Release it first.",
    ),
    (
        lambda at: [at.rcu.read_unlock()],
        "cpu0: rcu_read_unlock outside a read section. Enter one first.",
    ),
    (
        lambda at: [at.rcu.read_lock(), at.rcu.read_lock()],
        "cpu0: rcu_read_lock inside a read section; the model has no nesting.",
    ),
]


@pytest.mark.parametrize(("script", "says"), MISUSES)
def test_misuse_is_a_violation(script: Callable[[Locks], list[Any]], says: str) -> None:
    violation = judge(program(script)).violation
    assert violation is not None
    assert (violation.oracle, violation.message) == ("lock_misuse", says)


def test_a_lock_of_somebody_elses_cannot_be_released() -> None:
    machine = program(lambda at: [at.spin.lock()], lambda at: [at.spin.unlock()])
    assert Run.replay(machine, (0, 1)).violation is not None


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (lambda at: [at.spin.lock(), at.spin.lock()], "spin"),
        (lambda at: [at.spin.lock(), together(at.spin.lock(), at.result)], "spin"),
        (lambda at: [at.sem.down_write(), at.sem.down_write()], "sem for writing"),
        (lambda at: [at.sem.down_write(), at.sem.down_read()], "sem for reading"),
        (lambda at: [at.sem.down_read(), at.sem.down_write()], "sem for writing"),
        (
            lambda at: [at.rcu.read_lock(), at.rcu.sections[0].wait_until_not(1)],
            "rcu.cpu0 to change from 1",
        ),
    ],
)
def test_waiting_for_oneself_is_a_deadlock_at_once(
    script: Callable[[Locks], list[Any]], says: str
) -> None:
    """Not when all others are done: here they never are."""

    def spins(at: Locks) -> list[Any]:
        return [at.count.sequence.wait_for(1), at.count.sequence.set(0)] * 3

    for others in ([], [spins], [spins, spins]):
        verdict = judge(program(script, *others))
        assert verdict.violation is not None
        assert verdict.violation.oracle == "deadlock"
        assert (
            verdict.violation.message
            == f"cpu0: waits for {says}, held by cpu0 itself, so it can never go on. Release that first, or do not take it twice."
        )
        assert verdict.schedule == (0, 0)


def test_to_try_what_one_holds_is_no_deadlock() -> None:
    tries = program(
        lambda at: [
            at.spin.lock(),
            at.spin.try_lock(),
            at.spin.unlock(),
            at.sem.down_write(),
            at.sem.try_write(),
            at.sem.up_write(),
        ]
    )
    assert judge(tries).outcome == "safe"


def test_a_lock_that_others_hold_too_is_waited_for_in_vain_if_one_holds_it_oneself() -> None:
    both = program(
        lambda at: [at.sem.down_read(), at.sem.down_write()],
        lambda at: [at.sem.down_read(), at.sem.up_read()],
    )
    run = Run.replay(both, (1, 0, 0))
    assert run.violation is not None and "held by cpu0 itself" in run.violation.message


def waits_for_itself_sometimes() -> Machine:
    """cpu0 takes the lock twice if cpu1 was faster; cpu2 wants the lock, too, and writes where nobody looks."""
    layout = Layout(3)
    spin, flag, aside = SpinLock(layout, "spin"), layout.cell("flag", 0), layout.cell("aside", 0)

    async def careless() -> None:
        await spin.lock()
        if await flag:
            await spin.lock()
        await spin.unlock()

    async def sets() -> None:
        await flag.set(1)
        await aside.set(1)

    async def wants() -> None:
        await aside.set(2)
        await spin.lock()
        await spin.unlock()

    return Machine(layout, [("careless", careless), ("sets", sets), ("wants", wants)])


def test_all_searches_agree_on_a_cpu_that_waits_for_itself() -> None:
    full, reduced, dpor = (
        strategy.explore(waits_for_itself_sometimes(), Meter(Budget()), stop=False)
        for strategy in (Exhaustive(reduced=False), Exhaustive(), Dpor())
    )
    assert full.violations == reduced.violations == dpor.violations and len(full.violations) == 1
    ends = [outcome(waits_for_itself_sometimes(), reduced=reduced) for reduced in (False, True)]
    assert ends[0] == ends[1] and ends[0].endings and not ends[0].deadlocks


def held(
    *cpus: int, by: Callable[[Locks], list[Any]], wanted: Callable[[Locks], list[Any]]
) -> list[int]:
    """Who can run after these CPUs took a step each: cpu0 to cpu1 run `by`, cpu2 wants `wanted`."""
    return Run.replay(program(by, by, wanted), cpus).enabled()


def test_readers_share_and_keep_a_writer_out() -> None:
    def read(at: Locks) -> list[Any]:
        return [at.sem.down_read(), at.sem.up_read()]

    def write(at: Locks) -> list[Any]:
        return [at.sem.down_write()]

    assert held(by=read, wanted=write) == [0, 1, 2]
    assert held(0, 1, by=read, wanted=write) == [0, 1]
    assert held(0, 1, 0, by=read, wanted=write) == [0, 1]
    assert 2 in held(0, 1, 0, 1, by=read, wanted=write)
    assert held(2, by=read, wanted=write) == [2]


def test_a_writer_keeps_everybody_out() -> None:
    def write(at: Locks) -> list[Any]:
        return [at.sem.down_write(), at.sem.up_write()]

    assert held(0, by=write, wanted=write) == [0]
    assert held(0, by=write, wanted=lambda at: [at.sem.down_read()]) == [0]
    assert held(0, 0, by=write, wanted=write) == [0, 1, 2]


def test_downgrading_lets_readers_in_and_writers_not() -> None:
    def downgrade(at: Locks) -> list[Any]:
        return [at.sem.down_write(), at.sem.downgrade(), at.sem.up_read()]

    assert held(0, 0, by=downgrade, wanted=lambda at: [at.sem.down_read()]) == [0, 2]
    assert held(0, 0, by=downgrade, wanted=lambda at: [at.sem.down_write()]) == [0]
    assert held(0, 0, 0, by=downgrade, wanted=lambda at: [at.sem.down_write()]) == [0, 1, 2]


@pytest.mark.parametrize(
    ("holder", "trier", "gets", "writer"),
    [
        (lambda at: [at.sem.down_read()], lambda at: [at.sem.try_read()], True, 0),
        (lambda at: [at.sem.down_read()], lambda at: [at.sem.try_write()], False, 0),
        (lambda at: [at.sem.down_write()], lambda at: [at.sem.try_read()], False, 1),
        (lambda at: [at.sem.down_write()], lambda at: [at.sem.try_write()], False, 1),
        (
            lambda at: [at.sem.down_write(), at.sem.up_write()],
            lambda at: [at.sem.try_write()],
            True,
            2,
        ),
        (
            lambda at: [at.sem.down_write(), at.sem.downgrade()],
            lambda at: [at.sem.try_read()],
            True,
            0,
        ),
    ],
)
def test_trying_says_whether_it_did_and_never_blocks(
    holder: Any, trier: Any, gets: bool, writer: int
) -> None:
    machine = program(holder, trier)
    held_by_cpu0 = (0,) * len(holder(Locks(2)))
    run = Run.replay(machine, (*held_by_cpu0, 1, 1))
    assert machine.layout.named("result").of(run.state) is gets
    assert machine.layout.named("sem").of(run.state) == writer


def test_a_sequence_count_is_odd_while_a_writer_is_at_work() -> None:
    layout = Layout(2)
    count = SeqCount(layout, "count")

    async def write() -> None:
        await count.write_begin()
        await count.write_end()

    async def read() -> None:
        await count.read_begin()

    run = Run.replay(Machine(layout, [("write", write), ("read", read)]), (0, 0))
    assert run.why_blocked(1) == "cpu1 waits for count to become even"
    assert run.step(0).step(0).enabled() == [1]


def test_a_sequence_count_wraps_around_to_even() -> None:
    layout = Layout(1)
    count = SeqCount(layout, "count")

    async def write() -> None:
        for _ in range(9):
            await count.write_begin()
            await count.write_end()

    machine = Machine(layout, [("write", write)])
    run = Run.of(machine)
    while run.enabled():
        run = run.step(0)
    assert count.sequence.of(run.state) == 2


def test_a_grace_period_waits_for_old_readers_and_not_for_new_ones() -> None:
    layout = Layout(3)
    rcu = Rcu(layout)

    async def read() -> None:
        await rcu.read_lock()
        await rcu.read_unlock()

    async def wait() -> None:
        await rcu.synchronize()

    machine = Machine(layout, [("read", read), ("wait", wait), ("read", read)])
    begun = Run.replay(machine, (0, 1))  # cpu0 is inside, the grace period begins
    assert begun.enabled() == [0, 2]
    newcomer = begun.step(2)
    assert newcomer.enabled() == [0, 2]
    over = newcomer.step(0).step(1)
    assert machine.done(over.state, 1), "cpu2 came later: nobody waits for it"


# -- operations keep to their declarations ----------------------------------------------------------------------------


def one_step(step: Callable[[Layout], Step]) -> Machine:
    layout = Layout(1)
    layout.cell("declared", 0)
    layout.cell("secret", 0)

    async def task() -> None:
        await step(layout)

    return Machine(layout, [("task", task)])


def reads_too_much(view: View, cpu: int) -> Any:
    return view[1]


def writes_too_much(view: View, cpu: int) -> None:
    view[1] = 5


def writes_what_it_may_read(view: View, cpu: int) -> None:
    view[0] = 5


@pytest.mark.parametrize(
    ("run", "says"),
    [
        (reads_too_much, "a step read secret without declaring it"),
        (writes_too_much, "a step wrote secret without declaring it"),
        (writes_what_it_may_read, "a step wrote declared without declaring it"),
    ],
)
def test_an_operation_that_touches_what_it_does_not_declare_is_an_error(
    run: Callable[..., Any], says: str
) -> None:
    operation("sly", lambda layout, cpu: touching(reads=[0]), run, lambda *_: "")
    try:
        with pytest.raises(ModelError, match=says):
            judge(one_step(lambda layout: Step("sly", ())))
        with pytest.raises(ModelError, match=says):
            judge(
                one_step(lambda layout: together(Step("sly", ()), layout.named("declared").load()))
            )
    finally:
        del OPERATIONS["sly"]


def test_a_step_that_blocks_as_a_whole_changes_nothing() -> None:
    layout = Layout(2)
    cell = layout.cell("cell", 0)
    lock = SpinLock(layout, "lock")

    async def both() -> None:
        await together(cell.set(1), lock.lock())

    async def hold() -> None:
        await lock.lock()
        await lock.unlock()

    machine = Machine(layout, [("both", both), ("hold", hold)])
    run = Run.replay(machine, (1,))
    assert run.enabled() == [1]
    assert cell.of(run.step(0).state) == 0
    assert run.why_blocked(0) == "cpu0 waits for lock, held by cpu1 since step 1"
    assert cell.of(run.step(1).step(0).state) == 1


def test_a_blocked_whole_step_waits_for_the_part_that_blocks() -> None:
    layout = Layout(2)
    free, taken = SpinLock(layout, "free"), SpinLock(layout, "taken")

    async def both() -> None:
        await together(free.lock(), taken.lock())

    async def hold() -> None:
        await taken.lock()
        await taken.unlock()

    run = Run.replay(Machine(layout, [("both", both), ("hold", hold)]), (1,))
    assert run.why_blocked(0) == "cpu0 waits for taken, held by cpu1 since step 1"


def test_two_operations_cannot_share_a_name() -> None:
    with pytest.raises(ModelError, match="two operations called load"):
        operation("load", lambda *_: touching(), lambda *_: None, lambda *_: "")


def test_two_cells_cannot_share_a_name() -> None:
    layout = Layout(1)
    layout.cell("a", 0)
    with pytest.raises(ModelError, match="two cells are called a"):
        layout.cell("a", 0)
    RwSem(layout, "lock")
    with pytest.raises(ModelError, match="two records are called lock"):
        RwSem(layout, "lock")


@pytest.mark.parametrize("value", [-1, 256, "1", None, 1.5])
def test_a_counter_holds_small_numbers(value: Any) -> None:
    layout = Layout(1)
    with pytest.raises(ModelError, match=r"counter n cannot hold .*: it counts from 0 to 255"):
        layout.counter("n", value)


def test_a_machine_needs_a_cpu() -> None:
    with pytest.raises(ModelError, match="at least one CPU, not 0"):
        Layout(0)


def test_nothing_of_a_state_is_hidden_from_who_looks_at_it() -> None:
    layout = Layout(1)
    layout.cell("a", "x")
    SpinLock(layout, "lock")
    assert dict(layout.values(layout.initial)) == {"a": "x", "lock": 0}
    assert layout.named("a").of(layout.initial) == "x"
    with pytest.raises(ModelError, match="no cell called b"):
        layout.named("b")


def test_cells_keep_to_their_bits() -> None:
    """A neighbour never sees what a cell next to it holds."""
    layout = Layout(1)
    cells = [layout.cell(f"c{number}", 0, bits=2) for number in range(4)]

    async def task() -> None:
        for value in ("a", "b"):
            for cell in cells:
                await cell.set(value)
                await cell.set((value,) if value == "a" else value)

    run = Run.of(Machine(layout, [("task", task)]))
    while run.enabled():
        before = {cell.name: cell.of(run.state) for cell in cells}
        run = run.step(0)
        after = {cell.name: cell.of(run.state) for cell in cells}
        assert sum(before[name] != after[name] for name in before) <= 1
