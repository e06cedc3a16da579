"""A scenario from a file brings its own judge and its own patch, and can be replayed like any."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmlocks.errors import ModelError
from mmlocks.machine import Machine, Run, Violation
from mmlocks.mm.world import World
from mmlocks.notebook.scheduler import PlayerSession
from mmlocks.oracles import Oracle
from mmlocks.oracles.lock_order import Afterwards
from mmlocks.releases import PATCHES
from mmlocks.scenarios import Checked, Scenario, asked, check, replay, scenario_named
from mmlocks.show import explain, show

STORY = """
from mmlocks.machine import Violation
from mmlocks.mm.world import World
from mmlocks.oracles import Oracle
from mmlocks.releases import FORK_LOCKS_VMAS, Patch
from mmlocks.scenarios import Scenario

ADDS_AT_ONCE = Patch("adds_at_once", "none", "never", "a counter is loaded and stored in one step")

class Counting(World):
    def __init__(self):
        super().__init__(2, {}, faulting={}, cached={}, referee=False, forks=False)
        self.count = self.layout.counter("count")

async def add(count):
    if ADDS_AT_ONCE:
        await count.add(1)
    else:
        await count.set(await count + 1)

async def adder(world):
    await add(world.count)

def both_counted(world, state):
    count = world.count.of(state)
    return None if count == 2 else Violation("both_counted", f"two additions came to {count}")

S = Scenario("counting", "Two CPUs count", "Each adds one.", (("adds", adder), ("adds", adder)),
             Counting, (Oracle("both_counted", "no addition is lost", both_counted), "held_at_end"),
             {}, "tests")
"""


@pytest.fixture
def name(tmp_path: Path) -> Iterator[str]:
    """The name of the scenario in its file. Its patch is forgotten afterwards."""
    (tmp_path / "counting.py").write_text(STORY, encoding="utf-8")
    yield f"{tmp_path}/counting.py:S"
    PATCHES.pop("adds_at_once", None)


def test_its_own_oracle_judges_it_and_its_own_patch_repairs_it(name: str) -> None:
    broken, repaired = check(name, "6.1"), check(name, "6.1+adds_at_once")
    assert broken.verdict.violation == Violation("both_counted", "two additions came to 1")
    assert repaired.verdict.outcome == "safe"
    assert check(scenario_named(f"{name}+all"), "6.1").verdict.violation == broken.verdict.violation


def shown(text: str) -> tuple[str, str]:
    """The text and the scenario after `replay:`, as a person copies them."""
    found = re.search(r'replay: (mml1:\S+) \(scenario="(.*)"\)$', text, re.MULTILINE)
    assert found is not None, text
    return found[1], found[2]


def test_what_show_and_explain_print_can_be_replayed(name: str) -> None:
    checked = check(name, "6.1")
    for text in (str(show(checked)), str(explain(checked))):
        schedule, scenario = shown(text)
        story, _, run = replay(schedule, scenario=scenario)
        assert story.name == "counting" and len(run) >= 3
    assert replay(shown(str(show(checked)))[0], scenario=name)[2].violation is not None
    assert "both_counted" in str(explain(str(checked.schedule), scenario=name))
    with pytest.raises(ModelError, match=r"replay\(text, scenario='FILE.py:NAME'\)"):
        replay(str(checked.schedule))


def test_the_player_takes_it_with_its_patch_and_a_pasted_schedule(name: str) -> None:
    session = PlayerSession(name, "6.1")
    session.find_shortest()
    found = session.schedule
    assert session.here.violation is not None and "mml1:counting" in str(found)
    session.restart()
    session.paste(str(found))
    assert session.here.violation is not None
    session.change(release="6.1+adds_at_once")
    session.find()
    assert "No order of steps goes wrong here" in session.note


def test_a_patch_of_another_meaning_needs_another_name(name: str, tmp_path: Path) -> None:
    text = STORY.replace('"adds_at_once", "none"', '"fork_locks_vmas", "none"')
    (tmp_path / "taken.py").write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match="another patch is already called fork_locks_vmas"):
        scenario_named(f"{tmp_path}/taken.py:S")


def test_an_oracle_that_is_neither_a_name_nor_an_oracle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "three.py").write_text(STORY.replace('"held_at_end"', "3"), encoding="utf-8")
    with pytest.raises(ModelError, match="its oracles hold an int"):
        scenario_named(f"{tmp_path}/three.py:S")


def one_cpu() -> World:
    return World(1, {}, faulting={}, cached={}, referee=False, forks=False)


async def idler(world: World) -> None:
    await world.mm.mmap_lock.down_read()
    await world.mm.mmap_lock.up_read()


def never_holds(machine: Machine) -> Afterwards:
    """A rule about all runs together that no program keeps."""
    start = Run.of(machine)
    return Afterwards(
        Violation("never", "the lock is taken"), lambda state: state == start.state, 0
    )


def story(*oracles: str | Oracle) -> Scenario:
    return Scenario("idle", "t", "s", (("idles", idler),), one_cpu, oracles, {}, "tests")


def test_its_own_oracle_may_judge_all_runs_together() -> None:
    own = story(Oracle("never", "nothing happens", after=never_holds))
    found = check(own, "6.1")
    assert isinstance(found, Checked) and found.of_all_runs
    assert found.run is not None and found.run.violation == found.verdict.violation
    assert "about all runs together" in str(show(found))
    assert check(asked(own), "6.1").verdict.violation == found.verdict.violation
    assert not check(story(), "6.1").of_all_runs


def test_a_name_without_an_oracle_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ModelError, match=r"no oracle called 'lost'. Known oracles: lost_store"):
        check(story("lost"), "6.1")
