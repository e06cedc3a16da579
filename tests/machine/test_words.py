"""Numbers that one process gives out and another takes over: the same nodes, edges and states, and nothing made up."""

from __future__ import annotations

import enum
import json
import zlib
from functools import partial
from typing import Any

import pytest

from mmlocks.errors import ModelError
from mmlocks.machine import Layout, Machine, together
from mmlocks.machine.state import NewWord, View
from mmlocks.machine.values import Step
from mmlocks.machine.watch import parts_of
from mmlocks.machine.words import dictated, words_of
from mmlocks.mm.kernel import Kernel
from mmlocks.releases import RELEASES
from mmlocks.scenarios import SCENARIOS, machine_for
from mmlocks.scenarios.checking import program_named
from mmlocks.search import Budget, Exploration, explore
from mmlocks.search.verdict import Meter
from tests.helpers import tasks_on_cells
from tests.machine.programs import PROGRAMS

SOME = [
    ("fork_lost_store", "6.4.0"),
    ("fork_lost_store", "6.4.3"),
    ("stackrot", "6.4.0"),
    ("munmap_downgrade", "speculative"),
]


def searched(machine: Machine, reduced: bool = True, states: int = 2_000_000) -> Exploration:
    return explore(machine, Meter(Budget(states)), reduced, stop=False)


def same(one: Machine, other: Machine) -> None:
    """Every number of one machine means the same on the other."""
    for mine, theirs in zip(one.layout.cells, other.layout.cells, strict=True):
        assert [*map(repr, mine.met)] == [*map(repr, theirs.met)]
    for task, twin in zip(one.tasks, other.tasks, strict=True):
        assert len(task.nodes) == len(twin.nodes)
        for node, match in zip(task.nodes, twin.nodes, strict=True):
            # Handles are equal if their names are.
            assert (repr(node.step), node.answer.ended, node.answer.message, node.answer.where) == (
                repr(match.step),
                match.answer.ended,
                match.answer.message,
                match.answer.where,
            )
            assert (node.footprint, node.looks, node.project, node.touched) == (
                match.footprint,
                match.looks,
                match.project,
                match.touched,
            )
            assert [*map(repr, node.results)] == [*map(repr, match.results)]
            assert [*node.edges.values()] == [*match.edges.values()]


# -- taken over -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_taken_over_is_the_same_and_is_searched_alike(name: str) -> None:
    build = PROGRAMS[name].build
    leader = build()
    found = searched(leader, reduced=False)
    words = words_of(leader)
    follower = dictated(build(), words)
    same(leader, follower)
    again = searched(follower, reduced=False)
    assert set(again.seen) == set(found.seen), "the very same numbers"
    assert again.endings == found.endings
    assert again.violations == found.violations
    assert words_of(dictated(build(), words)) == words, "and it could be handed on"


@pytest.mark.parametrize(("scenario", "release"), SOME, ids=lambda value: value)
def test_a_scenario_taken_over_is_the_same_and_is_searched_alike(
    scenario: str, release: str
) -> None:
    build = partial(program_named, scenario, release, ("discipline",))  # which watches every step
    leader = build()
    found = searched(leader, reduced=False)
    follower = dictated(build(), words_of(leader))
    same(leader, follower)
    again = searched(follower, reduced=False)
    assert set(again.seen) == set(found.seen)
    assert (again.endings, again.violations) == (found.endings, found.violations)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_can_travel(scenario: str) -> None:
    release = next(
        name for name, release in RELEASES.items() if not SCENARIOS[scenario].lacking(release)
    )
    leader = program_named(scenario, release)
    searched(leader, states=3_000)
    same(leader, dictated(program_named(scenario, release), words_of(leader)))


def test_a_learners_code_is_not_run_where_it_is_taken_over() -> None:
    """The other process builds the plain kernel, and finds nothing of the answer there but its steps."""
    calls = []

    async def dup_mmap(mm: Any, oldmm: Any) -> None:
        calls.append(mm)

    leader = machine_for(
        SCENARIOS["fork_lost_store"], Kernel(RELEASES["6.4.3"], {"dup_mmap": dup_mmap})
    )[0]
    found = searched(leader, reduced=False)
    assert found.outcome == "violated", "a fork that copies nothing is no fork"
    words, before = words_of(leader), len(calls)
    assert before > 0
    follower = dictated(program_named("fork_lost_store", "6.4.3"), words)
    again = searched(follower, reduced=False)
    assert (set(again.seen), again.violations) == (set(found.seen), found.violations)
    assert len(calls) == before
    with pytest.raises(NotImplementedError):
        follower.verify()


def test_what_a_task_returned_does_not_matter_and_its_ends_stay_apart() -> None:
    async def reads_all(a: Any, b: Any, c: Any, out: Any) -> tuple[Any, object]:
        return await a, object()  # which could not travel

    build = tasks_on_cells(reads_all, writes, initial=False)
    leader = build()
    found = searched(leader, reduced=False)
    assert sum(node.answer.ended == "returned" for node in leader.tasks[0].nodes) == 2
    again = searched(dictated(build(), words_of(leader)), reduced=False)
    assert set(again.seen) == set(found.seen)


def test_words_are_data_and_always_the_same() -> None:
    def words() -> bytes:
        machine = program_named("fork_lost_store", "6.4.0")
        searched(machine)
        return words_of(machine)

    assert words() == words()
    json.loads(zlib.decompress(words()))


# -- what is new ------------------------------------------------------------------------------------------------------


async def reads(a: Any, b: Any, c: Any, out: Any) -> None:
    if await a:
        await out.set(7)


async def writes(a: Any, b: Any, c: Any, out: Any) -> None:
    await a.set(True)


BUILD = tasks_on_cells(reads, writes, initial=False)


@pytest.mark.parametrize("reduced", [True, False], ids=["reduced", "full"])
@pytest.mark.parametrize(
    "build", [BUILD, PROGRAMS["sequence_count"].build], ids=["cells", "sequence_count"]
)
def test_what_is_new_is_raised_and_not_made_up(build: Any, reduced: bool) -> None:
    follower = dictated(build(), words_of(build()))
    sizes = (
        [len(task.nodes) for task in follower.tasks],
        [cell.met for cell in follower.layout.cells],
    )
    with pytest.raises(NewWord):
        searched(follower, reduced)
    assert sizes == (
        [len(task.nodes) for task in follower.tasks],
        [cell.met for cell in follower.layout.cells],
    )


def test_a_new_value_and_a_new_result_are_both_new() -> None:
    machine = BUILD()
    state = machine.initial
    follower = dictated(BUILD(), words_of(machine))
    with pytest.raises(NewWord):  # the value True
        follower.outcome(state, follower.node(state, 1), 1)
    with pytest.raises(NewWord):  # what cpu0 does after it has read False
        follower.outcome(state, follower.node(state, 0), 0)
    for cpu in machine.cpus:
        machine.outcome(state, machine.node(state, cpu), cpu)
    follower = dictated(BUILD(), words_of(machine))
    for cpu in machine.cpus:
        expected = machine.outcome(state, machine.node(state, cpu), cpu)
        assert expected is not None
        assert follower.outcome(state, follower.node(state, cpu), cpu) == expected


def test_a_watch_that_tries_a_step_out_does_not_swallow_what_is_new() -> None:
    layout = dictated(BUILD(), words_of(BUILD())).layout
    step = together(Step("load", (0,)), Step("store", (1, "new")))
    with pytest.raises(NewWord):
        parts_of(View(layout, layout.initial, -1, -1), 0, step)


def test_no_handler_of_exceptions_sees_what_is_new() -> None:
    """Steps' arguments, referees and learners' code may raise any Exception, and it is called a mistake of theirs."""
    assert not issubclass(NewWord, Exception)


# -- what cannot travel -----------------------------------------------------------------------------------------------


class Colour(enum.IntEnum):
    RED = 1


class Strange:
    pass


@pytest.mark.parametrize(
    "value", [0.5, frozenset({1}), Colour.RED, Strange(), b"bytes", (1, (0.5,))], ids=lambda value: type(value).__name__
)  # fmt: skip
def test_a_value_that_is_not_plain_cannot_travel(value: Any) -> None:
    async def store(a: Any, b: Any, c: Any, out: Any) -> None:
        await a.set(value)

    machine = tasks_on_cells(store)()
    searched(machine)
    with pytest.raises(ModelError, match="is not a plain value"):
        words_of(machine)


def other_cells() -> Machine:
    return tasks_on_cells(reads, writes, initial=False, cells="a b c result")()


def more_cells() -> Machine:
    return tasks_on_cells(
        lambda *cells: reads(*cells[:4]), writes_all, initial=False, cells="a b c out more"
    )()


async def writes_all(a: Any, b: Any, c: Any, out: Any, more: Any) -> None:
    await a.set(True)


def other_values() -> Machine:
    return tasks_on_cells(reads, writes, initial=0)()


def one_task() -> Machine:
    layout = Layout(2)
    cells = [layout.cell(name, False) for name in ["a", "b", "c", "out"]]
    return Machine(layout, [("reads", lambda: reads(*cells))])


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (other_cells, "their cells differ"),
        (more_cells, "their cells differ"),
        (other_values, "their values of a differ"),
        (one_task, "their number of tasks differ"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_another_program_is_not_taken_for_the_same(build: Any, said: str) -> None:
    leader = BUILD()
    searched(leader)
    with pytest.raises(ModelError, match=said):
        dictated(build(), words_of(leader))


def test_another_vocabulary_is_not_taken_for_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the other process has another version of this package, steps may touch other cells there."""
    from mmlocks.machine.step import OPERATIONS, touching

    leader = BUILD()
    searched(leader)
    words = words_of(leader)
    load = OPERATIONS["load"]
    changed = type(load)(
        "load",
        lambda layout, cpu, i: touching(writes=[i]),
        load.run,
        load.tell,
        load.awaits,
        load.holders,
    )
    monkeypatch.setitem(OPERATIONS, "load", changed)
    with pytest.raises(ModelError, match="steps of reads differ"):
        dictated(BUILD(), words)
    monkeypatch.delitem(OPERATIONS, "load")
    with pytest.raises(ModelError):
        dictated(BUILD(), words)
