"""A schedule is a value with a text that survives being passed around; a run can be continued, undone and asked."""

from __future__ import annotations

import dataclasses
import re
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlocks.errors import ScheduleError
from mmlocks.machine import Layout, Machine, Run, RwSem, Schedule, SpinLock
from mmlocks.scenarios import SCENARIOS, check, machine_for, replay
from mmlocks.scenarios.checking import as_kernel
from mmlocks.search import possible
from tests.helpers import tasks_on_cells
from tests.machine.programs import increment, lock_order, readers_and_writer

EXAMPLE = Schedule("fork_lost_store", "6.4.0", (0, 0, 0, 2, 2, 1, 0))


def text_of(body: str) -> str:
    """A schedule text with a right checksum, whatever is in it."""
    return f"{body}:{zlib.crc32(body.encode()):08x}"


# -- the text form ----------------------------------------------------------------------------------------------------


def test_the_text_is_short_and_says_what_it_is() -> None:
    assert str(EXAMPLE) == text_of("mml1:fork_lost_store:6.4.0:0x3.2x2.1.0")


def test_the_text_is_the_one_that_other_releases_wrote() -> None:
    """Texts stand in bug reports and on web pages; this one must be readable for ever."""
    assert Schedule.parse("mml1:fork_lost_store:6.4.0:0x3.2x2.1.0:d0178d17") == EXAMPLE


NAMES = st.text(st.characters(exclude_characters=":", exclude_categories=["C", "Z"]), min_size=1)


@given(NAMES, NAMES, st.lists(st.integers(0, 999), max_size=60))
def test_every_schedule_survives_its_text(scenario: str, kernel: str, cpus: list[int]) -> None:
    schedule = Schedule(scenario, kernel, tuple(cpus))
    assert Schedule.parse(str(schedule)) == schedule
    assert Schedule.parse(f"  {schedule}\n") == schedule


@given(st.data())
def test_a_changed_character_never_goes_unnoticed(data: st.DataObject) -> None:
    text = str(EXAMPLE)
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="ascii", exclude_characters=text[place]))
    changed = text[:place] + other + text[place + 1 :]
    if changed.strip() != text:
        with pytest.raises(ScheduleError):
            Schedule.parse(changed)


@given(st.integers(0, len(str(EXAMPLE)) - 1))
def test_a_text_that_is_cut_short_never_goes_unnoticed(length: int) -> None:
    with pytest.raises(ScheduleError):
        Schedule.parse(str(EXAMPLE)[:length])


@given(
    st.one_of(
        st.text(),
        st.text().map("mml1:".__add__),
        st.text().map(lambda text: f"mml1:a:b:{text}:00000000"),
    )
)
def test_whatever_is_no_schedule_is_a_schedule_error(text: str) -> None:
    with pytest.raises(ScheduleError):
        Schedule.parse(text)


@given(st.text(st.sampled_from("0123456789x.-² ٣a"), min_size=1))
def test_whatever_stands_where_the_steps_belong_is_read_or_refused(steps: str) -> None:
    try:
        read = Schedule.parse(text_of(f"mml1:a:b:{steps}"))
    except ScheduleError:
        return
    assert Schedule.parse(str(read)) == read


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "this is not a schedule: ''. A schedule begins with mml1:"),
        ("hello", "this is not a schedule: 'hello'"),
        ("0x3.2x2", "this is not a schedule"),
        ("mml1:\ud800:b:0:00000000", "damaged"),
        ("x" * 10_000, "this is not a schedule: 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'. A"),
        ("mml2:a:b:0:00000000", "this schedule is of version mml2, and this mmlocks reads mml1"),
        ("mml12:a:b:0:00000000", "of version mml12"),
        ("mml1:fork_lost_store:6.4.0:0x3.2x", "4 fields where 5 belong; was it cut off"),
        ("mml1:a:b:0:c:00000000", "6 fields where 5 belong"),
        (
            "mml1:fork_lost_store:6.4.0:0x3:00000000",
            "this schedule is damaged: its checksum does not match",
        ),
        (text_of("mml1:a:b:0x3.q"), "cannot be read: 'q'"),
        (text_of("mml1:a:b:-1"), "cannot be read: '-1'"),
        (text_of("mml1:a:b:1000"), "cannot be read: '1000'"),
        (text_of("mml1:a:b:0x9999999"), "cannot be read: '0x9999999'"),
        (text_of("mml1:a:b:0x999999"), "longer than 100,000 steps"),
        (text_of("mml1:a:b:" + ".".join(["0x99999"] * 1000)), "longer than 100,000 steps"),
    ],
)
def test_a_text_that_cannot_be_read_is_a_clear_error(text: str, says: str) -> None:
    with pytest.raises(ScheduleError) as refused:
        Schedule.parse(text)
    assert says in str(refused.value)
    assert len(str(refused.value)) < 200


def test_a_schedule_of_an_unknown_scenario_or_release_is_a_clear_error() -> None:
    with pytest.raises(Exception, match="no scenario called 'nowhere'"):
        replay(Schedule("nowhere", "6.4.0", (0,)))
    with pytest.raises(Exception, match=r"no release '9\.9'"):
        replay(Schedule("fork_lost_store", "9.9", (0,)))


def test_a_schedule_is_a_value() -> None:
    assert Schedule("a", "b", (0, 1)) == Schedule("a", "b", (0, 1))
    assert len({Schedule("a", "b", (0, 1)), Schedule("a", "b", (0, 1))}) == 1
    assert len(EXAMPLE) == 7
    with pytest.raises(dataclasses.FrozenInstanceError):
        EXAMPLE.cpus = ()  # type: ignore[misc]


# -- runs -------------------------------------------------------------------------------------------------------------


def test_a_run_takes_steps_and_takes_them_back() -> None:
    machine = increment()
    start = Run.of(machine)
    one = start.step(0)
    two = one.step(1)
    assert (len(start), len(one), len(two)) == (0, 1, 2)
    assert two.cpus == (0, 1)
    assert two.undo() == one
    assert two.undo(2) == start
    assert two.undo(99) == start
    assert start.undo() == start
    assert two.undo().step(1) == two


def test_a_run_can_be_seen_as_it_was_after_any_step() -> None:
    machine, _ = machine_for(SCENARIOS["fork_lost_store"], as_kernel("6.4.0"))
    checked = check(SCENARIOS["fork_lost_store"], "6.4.0")
    assert checked.verdict.schedule is not None
    run = Run.of(machine)
    on_the_way = [run]
    for cpu in checked.verdict.schedule:
        run = run.step(cpu)
        on_the_way.append(run)
    assert [run.at(steps) for steps in range(len(run) + 1)] == on_the_way
    assert run.at(len(run)) == run


@pytest.mark.parametrize("steps", [-1, -7, 8, 99])
def test_a_step_that_was_never_taken_is_not_shown_as_some_other(steps: int) -> None:
    """Either an error, or the nearest moment there was; the scrubber of a player can come to send anything."""
    run = Run.replay(increment(), (0, 0, 1, 1))
    try:
        seen = run.at(steps)
    except (IndexError, ValueError, ScheduleError):
        return
    assert seen == (Run.of(run.machine) if steps < 0 else run)


def test_a_run_is_a_value() -> None:
    run = Run.of(increment())
    later = run.step(0)
    assert later is not run
    assert len(run) == 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        run.states = ()  # type: ignore[misc]
    assert hash(run.states) != hash(later.states)


def test_a_cpu_that_is_blocked_or_done_takes_no_step() -> None:
    run = Run.replay(lock_order(), (0, 1))
    assert run.step(0) is run
    done = Run.replay(increment(), (0, 0))
    assert done.step(0) is done
    assert done.enabled() == [1]


def test_a_run_that_broke_a_rule_is_over() -> None:
    async def fail(a, b, c, out):
        await a
        raise ValueError("bad")

    async def other(a, b, c, out):
        await b

    run = Run.of(tasks_on_cells(fail, other)()).step(0)
    assert run.violation is not None
    assert run.over
    assert run.enabled() == []
    assert run.step(1) is run
    assert run.undo().step(1).violation is None


@pytest.mark.parametrize(
    ("cpus", "says"),
    [
        ((0, 1, 0), "the schedule goes on at step 3, after the run has ended: deadlock"),
        ((0, 7), "step 2 of the schedule is cpu7's, and this program has 2 CPUs."),
        ((-1,), "step 1 of the schedule is cpu-1's"),
        (
            (0, 0, 1),
            "step 3 of the schedule is cpu1's, but cpu1 cannot run: cpu1 waits for lock1, held by cpu0 since step 2.",
        ),
        (
            (0, 0, 0, 0, 0),
            "step 5 of the schedule is cpu0's, but cpu0 cannot run: its task is done.",
        ),
    ],
)
def test_a_schedule_that_does_not_fit_names_the_step(cpus: tuple[int, ...], says: str) -> None:
    with pytest.raises(ScheduleError) as refused:
        Run.replay(lock_order(), cpus)
    assert says in str(refused.value)


def test_why_blocked_says_on_what_held_by_whom_since_when() -> None:
    run = Run.replay(lock_order(), (0, 0))
    assert run.why_blocked(1) == "cpu1 waits for lock1, held by cpu0 since step 2"
    assert run.why_blocked(0) is None
    assert run.at(1).why_blocked(1) is None
    assert run.step(0).why_blocked(1) is None, "cpu0 has given it back"


def test_why_blocked_counts_from_the_last_time_that_it_was_taken() -> None:
    layout = Layout(2)
    lock = SpinLock(layout, "lock")

    async def twice() -> None:
        for _ in range(2):
            await lock.lock()
            await lock.unlock()

    run = Run.replay(Machine(layout, [("twice", twice), ("twice", twice)]), (0, 0, 0))
    assert run.why_blocked(1) == "cpu1 waits for lock, held by cpu0 since step 3"


def test_why_blocked_names_every_reader() -> None:
    run = Run.replay(readers_and_writer(), (1, 2))
    assert (
        run.why_blocked(0)
        == "cpu0 waits for lock for writing, held by cpu1 since step 1 and cpu2 since step 2"
    )
    assert (
        Run.replay(readers_and_writer(), (0,)).why_blocked(1)
        == "cpu1 waits for lock for reading, held by cpu0 since step 1"
    )


def test_why_blocked_knows_what_was_so_from_the_start() -> None:
    layout = Layout(2)
    sem = RwSem(layout, "sem")
    layout.preset(sem.writer, 2)

    async def read() -> None:
        await sem.down_read()

    async def nothing() -> None:
        await sem.up_write()

    run = Run.of(Machine(layout, [("read", read), ("nothing", nothing)]))
    assert run.why_blocked(0) == "cpu0 waits for sem for reading, held by cpu1 from the start"


def test_why_blocked_says_what_a_waiting_cpu_waits_for() -> None:
    async def wait(a, b, c, out):
        await a.wait_for("ready")

    async def wait_for_change(a, b, c, out):
        await b.wait_until_not(0)

    run = Run.of(tasks_on_cells(wait, wait_for_change)())
    assert run.why_blocked(0) == "cpu0 waits for a to become ready"
    assert run.why_blocked(1) == "cpu1 waits for b to change from 0"


def test_on_fork_why_blocked_tells_the_story() -> None:
    """Fixed kernel: cpu2's write fault finds the VMA write-locked, falls back to mmap_lock, and waits for fork."""
    machine, world = machine_for(SCENARIOS["fork_lost_store"], as_kernel("6.4.3"))
    run = Run.of(machine)
    while world.child.page_table.pte[3].of(run.state) is None:
        run = run.step(0)
    while 2 in run.enabled():
        run = run.step(2)
    assert run.why_blocked(2) == "cpu2 waits for mmap_lock for reading, held by cpu0 since step 1"


def test_why_blocked_can_be_asked_at_every_moment_of_a_fork() -> None:
    """The page-table lock is taken together with a look at the entry: such a step blocks as well."""
    machine, _ = machine_for(SCENARIOS["fork_lost_store"], as_kernel("6.4.0"))

    def on_the_page_table_lock(state: int) -> bool:
        why = machine.why_blocked(state, 2)
        return why is not None and "ptl" in why.awaits

    witness = possible(machine, on_the_page_table_lock)
    assert witness.schedule is not None
    said = Run.replay(machine, witness.schedule).why_blocked(2)
    assert said is not None
    assert re.fullmatch(r"cpu2 waits for P3\.ptl, held by cpu[01] since step \d+", said)


def test_every_step_can_be_told() -> None:
    checked = check(SCENARIOS["fork_lost_store"], "6.4.0")
    run = checked.run
    assert run is not None
    told = [run.told(number) for number in range(len(run))]
    assert all(isinstance(text, str) for text in told)
    assert any("P3: F0 rw -> F0 ro" in text for text in told)
    assert told[-1] == (checked.verdict.violation.message if checked.verdict.violation else "")
