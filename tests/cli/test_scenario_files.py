"""`FILE.py:NAME`: scenarios of one's own on the command line, and what is said of files that hold none."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from mmlocks.errors import ModelError, ScheduleError
from mmlocks.scenarios import check, replay
from tests.cli.test_typed_badly import complaint

Mmlocks = Callable[..., Result]

STORY = '''
from __future__ import annotations
from dataclasses import dataclass
from mmlocks.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from mmlocks.mm.syscalls.munmap import munmap
from mmlocks.mm.vma_lock import lock_vma_under_rcu, vma_end_read
from mmlocks.mm.world import World
from mmlocks.scenarios import Scenario, check
from beside import FIRST, SECOND

@dataclass
class Settings:
    nodes: int = 2

async def mover(world):
    """Holds a VMA, and waits for mmap_lock."""
    first = await lock_vma_under_rcu(world.mm, FIRST * 4096)
    if first is None:
        return
    second = await lock_vma_under_rcu(world.mm, SECOND * 4096)
    if second is None:
        await mmap_read_lock(world.mm)
        await mmap_read_unlock(world.mm)
    else:
        await vma_end_read(second)
    await vma_end_read(first)

async def unmapper(world):
    await munmap(world.mm, SECOND * 4096, 3 * 4096)

def world():
    made = World(2, pages={FIRST: (5,), SECOND: (6,)}, faulting={}, cached={}, slots=1, referee=False, forks=False)
    made.map("first", FIRST, FIRST)
    made.map("second", SECOND, SECOND)
    made.may_change(nodes=Settings().nodes)
    return made

S = Scenario("reverse_order", "Two locks, the wrong way round", "cpu0 moves; cpu1 unmaps.",
             (("moves", mover), ("munmaps both", unmapper)), world, ("held_at_end",), {}, "tests")
OTHER = Scenario("alone", "t", "s", (("moves", mover), ("moves, too", mover)), world, ("held_at_end",), {}, "tests")
print("this file prints", check(S, "6.6-like").verdict.outcome)
'''  # fmt: skip


@pytest.fixture
def story(tmp_path: Path) -> Path:
    """A file with two scenarios, which imports its neighbour, has a dataclass, and checks itself when it is run."""
    folder = tmp_path / "my stories"
    folder.mkdir()
    (folder / "beside.py").write_text("FIRST, SECOND = 5, 3\n", encoding="utf-8")
    file = folder / "story.py"
    file.write_text(STORY, encoding="utf-8")
    return file


def test_a_scenario_in_a_file_is_searched_and_shown(mmlocks: Mmlocks, story: Path) -> None:
    done = mmlocks("run", f"{story}:S", "-r", "6.6-like")
    assert done.exit_code == 1
    assert done.stdout.startswith("reverse_order on 6.6-like: Two locks, the wrong way round\n")
    assert "VIOLATED (deadlock)" in done.stdout and "cycle cpu0 -> cpu1 -> cpu0" in done.stdout
    assert "this file prints" not in done.stdout and "this file prints violated" in done.stderr
    assert mmlocks("run", f"{story}:OTHER", "-r", "6.6-like").exit_code == 0


def commands(text: str) -> list[list[str]]:
    """The commands that a run offers, as a shell would split them."""
    return [shlex.split(line)[1:] for line in text.splitlines() if line.startswith("  mmlocks ")]


def test_every_command_that_a_run_offers_works_as_it_stands(mmlocks: Mmlocks, story: Path) -> None:
    offered = commands(mmlocks("run", f"{story}:S", "-r", "6.6-like").stdout)
    assert [command[0] for command in offered] == ["replay", "explain", "endings"]
    shown, explained, endings = (mmlocks(*command) for command in offered)
    assert shown.exit_code == 1 and "cycle cpu0 -> cpu1 -> cpu0" in shown.stdout
    assert "What matters" in explained.stdout or "matter" in explained.stdout
    assert "deadlock" in endings.stdout


def test_a_picture_of_its_states_and_all_as_json(mmlocks: Mmlocks, story: Path) -> None:
    graph = json.loads(mmlocks("graph", f"{story}:S", "-r", "6.6-like", "--json").stdout)
    assert graph["scenario"] == "reverse_order"
    run = json.loads(mmlocks("run", f"{story}:S", "-r", "6.6-like", "--json").stdout)
    assert run["verdict"] == "violated" and run["expected"] is None


def test_several_processes_search_it_as_well(mmlocks: Mmlocks, story: Path) -> None:
    done = mmlocks("run", f"{story}:S", "-r", "6.6-like", "--jobs", "2", "--json")
    alone = mmlocks("run", f"{story}:S", "-r", "6.6-like", "--json")
    assert json.loads(done.stdout)["schedule"] == json.loads(alone.stdout)["schedule"]


def test_python_takes_the_same_name(story: Path) -> None:
    checked = check(f"{story}:S", "6.6-like")
    schedule = str(checked.schedule)
    _, _, run = replay(schedule, scenario=f"{story}:S")
    assert run.violation == checked.verdict.violation
    assert replay(schedule, scenario=checked.scenario)[2].cpus == run.cpus
    with pytest.raises(
        ModelError, match=r"there is no scenario called 'reverse_order'.*is called FILE\.py:NAME"
    ):
        replay(schedule)
    with pytest.raises(
        ScheduleError,
        match="recorded with the scenario reverse_order, and the one given is called alone",
    ):
        replay(schedule, scenario=f"{story}:OTHER")


def test_a_schedule_says_what_it_lacks(mmlocks: Mmlocks, story: Path) -> None:
    schedule = str(check(f"{story}:S", "6.6-like").schedule)
    assert "--scenario FILE.py:NAME" in complaint(mmlocks("replay", schedule))
    assert "is called alone" in mmlocks("replay", schedule, "--scenario", f"{story}:OTHER").stderr
    assert "takes FILE.py:NAME" in complaint(mmlocks("explain", schedule, "--scenario", "stackrot"))
    assert "For each release: mmlocks run" in complaint(
        mmlocks("releases", "--scenario", f"{story}:S")
    )


MADE = "from mmlocks.scenarios import Scenario\nfrom mmlocks.mm.world import World\nasync def a(world): ...\n"
WORLD = "def world():\n    return World(1, pages={}, faulting={}, cached={})\n"


def scenario(threads: str = '(("a", a),)', world: str = "world", name: str = '"x"') -> str:
    return f'S = Scenario({name}, "t", "s", {threads}, {world}, (), {{}}, "")\n'


BAD_FILES = [
    ("S = 1 +\n", "story.py, line 1: invalid syntax. No scenario was read."),
    ("\x00", "source code string cannot contain null bytes"),
    ("a = 1\nraise ValueError('no such page')\n", "story.py, line 2: ValueError: no such page. No scenario was read."),
    ("import sys\nsys.exit(3)\n", "story.py, line 2: SystemExit: 3. No scenario was read."),
    ("from mmlocks.scenarios import check\ncheck('nothing', '6.3')\n", "story.py, line 2: there is no scenario called 'nothing'"),
    ("T = 1\n", "story.py defines no S. It defines no scenario at all: one is made with Scenario(...)."),
    (MADE + WORLD + scenario().replace("S =", "T ="), "story.py defines no S. Scenarios in it: T."),
    ("S = [1]\n", "S in story.py is a list and not a Scenario."),
    ("S = None\n", "S in story.py is None and not a Scenario."),
    (MADE + WORLD + scenario(name='"a:b"'), "its name is 'a:b'. A schedule has to carry it"),
    (MADE + WORLD + scenario(name="None"), "its name is None."),
    (MADE + WORLD + scenario(threads="()"), "its threads are not a list of pairs"),
    (MADE + WORLD + scenario(threads="(a,)"), "its threads are not a list of pairs"),
    (MADE + WORLD + scenario(threads='(("a", 3),)'), "thread 0 is not a pair of a text and an `async def`"),
    (MADE + WORLD + scenario(threads='(("a", a), ("b", a))'), "its world has 1 CPUs, and it has 2 threads."),
    (MADE + scenario(world="lambda: 3"), "its world() returns an int and not a World."),
    (MADE + scenario(world="lambda: 1 / 0"), "its world cannot be made. story.py, line 4: ZeroDivisionError: division by zero."),
    (MADE + WORLD + scenario().replace(", ()", ', ("nothing",)'), "there is no oracle called 'nothing'"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "says"), BAD_FILES, ids=lambda part: repr(part)[-40:])
def test_a_file_without_a_scenario_that_can_be_searched(
    mmlocks: Mmlocks, tmp_path: Path, text: str, says: str
) -> None:
    file = tmp_path / "story.py"
    file.write_text(text, encoding="utf-8")
    assert says in complaint(mmlocks("run", f"{file}:S", "-r", "6.3"))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("missing.py:S", r"there is no file .*missing\.py\."),
        (".py:S", r"there is no file .*\.py\."),
        (
            "story.py",
            r"say which scenario of story\.py: .*story\.py:NAME\. Scenarios in it: S, OTHER\.",
        ),
        ("story.py:", r"say which scenario of story\.py"),
        ("folder.py:S", r"folder\.py is a folder\."),
        ("large.py:S", r"has 1,000,001 bytes"),
    ],
)
def test_a_name_that_leads_to_no_scenario(
    mmlocks: Mmlocks, story: Path, name: str, says: str
) -> None:
    (story.parent / "folder.py").mkdir()
    (story.parent / "large.py").write_text("#" * 1_000_001, encoding="utf-8")
    done = mmlocks("run", f"{story.parent}/{name}", "-r", "6.3")
    assert done.exit_code == 2 and done.stdout == "" and "Traceback" not in done.stderr
    assert re.search(says, done.stderr.splitlines()[-1])
