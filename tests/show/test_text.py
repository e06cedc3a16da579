"""The texts say everything in plain words, and fit."""

import pytest

from mmlocks.machine import Run
from mmlocks.mm.kernel import Kernel
from mmlocks.releases import RELEASES
from mmlocks.scenarios import SCENARIOS, check, machine_for
from mmlocks.scenarios.fork_many import fork_many
from mmlocks.show.state_text import state_text
from mmlocks.show.text import blame, checked_text, timeline, verdict_text

LOST = check(SCENARIOS["fork_lost_store"], "6.4.0")
assert LOST.run is not None


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_no_line_is_wider_than_asked(width: int) -> None:
    assert LOST.run is not None
    lines = timeline(LOST.run, LOST.world, LOST.scenario, width=width).splitlines()
    for at in range(len(LOST.run) + 1):
        lines += state_text(LOST.world, LOST.run, at, width).splitlines()
    assert max(map(len, lines)) <= width


def test_the_timeline_tells_every_step_the_harm_and_how_to_replay_it() -> None:
    text = checked_text(LOST)
    assert LOST.run is not None
    assert LOST.run.violation is not None
    flat = " ".join(text.split())
    assert str(LOST.schedule) in text
    assert LOST.run.violation.message in flat
    assert LOST.scenario.explain["lost_store"] in flat
    for number in range(1, len(LOST.run) + 1):
        assert f" {number}  " in text


def test_nothing_is_printed_as_a_tuple_or_a_decimal_address() -> None:
    assert LOST.run is not None
    text = timeline(LOST.run, LOST.world) + state_text(LOST.world, LOST.run)
    assert "12288" not in text
    assert "((" not in text
    assert "heap [0x3000, 0x4000)" in text


def test_many_cpus_make_a_list_instead_of_narrow_columns() -> None:
    scenario = fork_many(2, 5)
    machine, world = machine_for(scenario, Kernel(RELEASES["6.4.3"]))
    run = Run.of(machine).step(0).step(3)
    text = timeline(run, world, width=80)
    assert "2 cpu3  " in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_blocked_cpu_is_told_with_its_reason() -> None:
    scenario = SCENARIOS["fork_torn_snapshot"]
    machine, world = machine_for(scenario, Kernel(RELEASES["6.3"]))
    run = Run.of(machine)
    run = run.step(0)
    while run.why_blocked(1) is None:
        run = run.step(1)
    assert "cpu1 waits for mmap_lock for reading, held by cpu0 since step 1" in blame(run, world)
    assert "blocked" in state_text(world, run)


def test_a_verdict_says_what_was_not_searched() -> None:
    safe = check(SCENARIOS["fork_lost_store"], "6.4.3")
    text = " ".join(verdict_text(safe.verdict, safe.scenario).split())
    assert text.startswith("SAFE")
    assert "sequentially consistent" in text
    assert "3 CPUs" in text
