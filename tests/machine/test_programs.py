"""The machine is pleasant for small programs of one's own, and the search knows the classics' answers."""

from __future__ import annotations

import inspect

import pytest

from mmlocks.machine import Run
from mmlocks.search import judge, possible
from tests.machine import programs
from tests.machine.programs import PROGRAMS

CLASSICS = [
    programs.increment,
    programs.peterson,
    programs.dekker,
    programs.bakery,
    programs.readers_and_writer,
    programs.sequence_count,
    programs.grace_period,
    programs.lock_order,
    programs.message,
]


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("reduced", [True, False], ids=["reduced", "full"])
def test_the_search_knows_the_answer(name: str, reduced: bool) -> None:
    program = PROGRAMS[name]
    verdict = judge(program.build(), reduced=reduced)
    found = verdict.violation.oracle if verdict.violation else ""
    assert (verdict.outcome, found) == ("violated" if program.breaks else "safe", program.breaks)


@pytest.mark.parametrize("name", [name for name, program in PROGRAMS.items() if program.breaks])
def test_a_broken_program_is_shown_by_a_schedule_that_breaks_it(name: str) -> None:
    program = PROGRAMS[name]
    verdict = judge(program.build())
    assert verdict.schedule is not None
    run = Run.replay(program.build(), verdict.schedule)
    assert run.violation == verdict.violation
    assert run.at(len(run) - 1).violation is None, "the last step is the one that breaks the rule"


@pytest.mark.parametrize("classic", CLASSICS, ids=lambda classic: classic.__name__)
def test_a_classic_program_takes_under_forty_lines(classic: object) -> None:
    assert len(inspect.getsource(classic).splitlines()) < 40


def test_the_lost_update_takes_two_reads_before_two_writes() -> None:
    verdict = judge(programs.increment())
    assert verdict.schedule in {
        (0, 1, 1, 0),
        (1, 0, 0, 1),
        (0, 1, 0, 1),
        (1, 0, 1, 0),
        (0, 1, 1, 0),
    }
    assert verdict.minimal


@pytest.mark.parametrize(("cpus", "least"), [(2, 1), (3, 1)])
def test_how_many_increments_can_be_lost_is_asked_with_possible(cpus: int, least: int) -> None:
    machine = programs.increment(cpus=cpus)
    counter = machine.layout.named("counter")

    def ends_with(total: int) -> bool | None:
        return possible(
            machine, lambda state: machine.finished(state) and counter.of(state) == total
        ).found

    assert [total for total in range(cpus + 2) if ends_with(total)] == list(range(least, cpus + 1))


def test_a_deadlock_names_its_cycle_and_who_holds_what() -> None:
    verdict = judge(programs.lock_order(cpus=3))
    assert verdict.violation is not None
    assert verdict.violation.message == (
        "deadlock (cycle cpu0 -> cpu1 -> cpu2 -> cpu0): cpu0 waits for lock1, held by cpu1; "
        "cpu1 waits for lock2, held by cpu2; cpu2 waits for lock0, held by cpu0. No CPU can ever run again."
    )


def test_waiting_for_what_never_comes_is_a_deadlock_without_a_cycle() -> None:
    from tests.helpers import tasks_on_cells

    async def wait(a, b, c, out):
        await a.wait_for(1)

    verdict = judge(tasks_on_cells(wait)())
    assert verdict.violation is not None
    assert (
        verdict.violation.message
        == "deadlock: cpu0 waits for a to become 1. No CPU can ever run again."
    )
