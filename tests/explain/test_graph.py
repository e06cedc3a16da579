"""The state graph: it is what the search sees, its quotients say what they claim, and one that is not whole says so."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from mmlocks.errors import ModelError
from mmlocks.explain.state_graph import (
    DEADLOCK,
    ENDS,
    GOOD,
    UNEXPLORED,
    VIOLATED,
    StateGraph,
    positions,
    state_graph,
    values_of,
)
from mmlocks.machine import Layout, Machine
from mmlocks.scenarios import SCENARIOS
from mmlocks.scenarios.checking import as_kernel, machine_for
from mmlocks.search import Budget
from mmlocks.search.exhaustive import explore
from mmlocks.search.verdict import Meter
from tests.helpers import tasks_on_cells
from tests.machine.programs import PROGRAMS, increment, lock_order

EVERY = pytest.mark.parametrize("name", PROGRAMS)


def scenario(name: str, release: str) -> Machine:
    return machine_for(SCENARIOS[name], as_kernel(release))[0]


def states_of(graph: StateGraph) -> set[int]:
    return {state for vertex in graph.vertices for state in vertex.states}


# -- the graph is what the search sees ----------------------------------------------------------------------------------


@EVERY
def test_it_has_the_states_and_ends_of_a_full_search(name: str) -> None:
    graph = state_graph(PROGRAMS[name].build())
    # On the same machine: where a task stands may be told apart by more or less, depending on what was run first.
    found = explore(graph.machine, Meter(Budget()), reduced=False, stop=False)
    assert graph.whole and not graph.reduced
    assert sum(len(vertex.states) for vertex in graph.vertices) == found.states
    assert {vertex.violation for vertex in graph.vertices if vertex.violation} == found.violations
    judged = [state for state in states_of(graph) if graph.machine.finished(state)]
    assert {state & ~graph.machine.layout.pc_mask for state in judged} == found.endings
    assert [vertex.number for vertex in graph.vertices] == list(range(len(graph.vertices)))
    assert all(
        bool(graph.leaving[vertex.number]) != (vertex.kind in ENDS) for vertex in graph.vertices
    )


@EVERY
def test_every_edge_is_a_step_of_the_machine(name: str) -> None:
    graph = state_graph(PROGRAMS[name].build())
    machine = graph.machine
    for vertex in graph.vertices:
        if vertex.states and vertex.kind not in ENDS:
            edges = graph.leaving[vertex.number]
            assert [edge.cpus[0] for edge in edges] == machine.enabled(vertex.states[0])
            for edge in edges:
                taken = machine.step(vertex.states[0], edge.cpus[0])
                assert taken is not None
                target = graph.vertices[edge.target]
                if taken.violation is None:
                    assert target.states == (taken.state,)
                else:
                    assert (target.states, target.violation) == ((), taken.violation)
                assert edge.moves[0].words == (
                    machine.tell(vertex.states[0], taken) or taken.step.op
                )


@EVERY
def test_the_reduced_graph_is_the_part_that_the_reduction_follows(name: str) -> None:
    whole = state_graph(PROGRAMS[name].build())
    reduced = state_graph(whole.machine, reduced=True)
    assert reduced.reduced and reduced.whole
    assert states_of(reduced) <= states_of(whole)
    followed, work = {0}, [0]
    while work:
        for edge in whole.leaving[work.pop()]:
            if edge.followed and edge.target not in followed:
                followed.add(edge.target)
                work.append(edge.target)
    assert {state for number in followed for state in whole.vertices[number].states} == states_of(
        reduced
    )
    assert all(edge.followed for edge in reduced.edges)
    for graph in (whole, reduced):
        ends = {
            (vertex.kind, vertex.violation)
            for vertex in graph.vertices
            if vertex.kind in (GOOD, DEADLOCK)
        }
        assert ends == {
            (vertex.kind, vertex.violation)
            for vertex in whole.vertices
            if vertex.kind in (GOOD, DEADLOCK)
        }


def test_the_reduction_leaves_something_out() -> None:
    graph = state_graph(increment("atomically", cpus=3))
    assert [edge.followed for edge in graph.edges].count(True) == 3
    assert graph.vertices[0].follows == (0,)
    assert len(state_graph(increment("atomically", cpus=3), reduced=True).vertices) == 4


def test_a_small_graph_in_full() -> None:
    graph = state_graph(increment())
    assert (len(graph.vertices), len(graph.edges)) == (12, 14)
    assert graph.ends == {GOOD: 1, VIOLATED: 1}
    assert [(edge.target, edge.moves[0]) for edge in graph.leaving[0]] == [
        (1, (0, "counter is 0")),
        (2, (1, "counter is 0")),
    ]
    assert graph.moment(graph.vertices[0])[0].startswith("cpu0 is in plainly (programs.py, line ")
    assert [vertex.depth for vertex in graph.vertices] == [0, 1, 1, 2, 2, 2, 3, 3, 3, 3, 4, 4]
    assert graph.fates[:6] == ("open", "open", "open", "good", "bad", "good")


# -- fates ------------------------------------------------------------------------------------------------------------


@EVERY
def test_fates_are_what_can_be_reached(name: str) -> None:
    graph = state_graph(PROGRAMS[name].build())
    for vertex in graph.vertices:
        seen, work = {vertex.number}, [vertex.number]
        while work:
            fresh = {edge.target for edge in graph.leaving[work.pop()]} - seen
            seen |= fresh
            work += fresh
        ends = frozenset(
            ENDS[graph.vertices[number].kind]
            for number in seen
            if graph.vertices[number].kind in ENDS
        )
        names = {frozenset(): "endless", frozenset({"good", "bad"}): "open"}
        assert graph.fates[vertex.number] == (names.get(ends) or next(iter(ends)))


def test_what_never_ends_is_endless() -> None:
    async def spins(a, b, c, out):
        while not await a:
            pass

    async def sets(a, b, c, out):
        await b.set(1)

    graph = state_graph(tasks_on_cells(spins, sets)())
    assert set(graph.fates) == {"endless"} and not graph.ends
    assert any(edge.source == edge.target for edge in graph.edges), "it goes round in a circle"


def test_in_the_lost_store_few_states_are_open() -> None:
    graph = state_graph(scenario("fork_lost_store", "6.4.0"))
    assert graph.fates.count("open") == 18
    assert set(state_graph(scenario("fork_lost_store", "6.4.3")).fates) == {"good"}


# -- quotients --------------------------------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("reduced", [False, True], ids=["whole", "reduced"])
def test_collapsing_loses_nothing(name: str, reduced: bool) -> None:
    graph = state_graph(PROGRAMS[name].build(), reduced=reduced)
    small = graph.collapsed()
    assert sorted(move for edge in small.edges for move in edge.moves) == sorted(
        move for edge in graph.edges for move in edge.moves
    )
    for edge in small.edges:
        state = small.vertices[edge.source].states[0]
        for move in edge.moves:
            taken = small.machine.step(state, move.cpu)
            assert taken is not None
            state = taken.state
        target = small.vertices[edge.target]
        assert state == target.states[0] if target.states else taken.violation == target.violation
    arriving = [edge.target for edge in small.edges]
    for vertex in small.vertices[1:]:
        alone = [edge for edge in small.leaving[vertex.number] if edge.target != vertex.number]
        mixed = {edge.followed for edge in small.edges if vertex.number in edge[:2]}
        assert (
            arriving.count(vertex.number) != 1
            or len(small.leaving[vertex.number]) != 1
            or not alone
            or len(mixed) == 2
        )


@EVERY
def test_what_is_decided_becomes_one(name: str) -> None:
    graph = state_graph(PROGRAMS[name].build())
    small = graph.decided()
    assert small.fates.count("open") == graph.fates.count("open")
    assert sum(len(vertex.states) for vertex in small.vertices) == sum(
        len(vertex.states) for vertex in graph.vertices
    )
    settled = [vertex for vertex in small.vertices[1:] if small.fates[vertex.number] == "good"]
    assert len(settled) <= 1 and all(vertex.kind == GOOD for vertex in settled)
    lost = [vertex for vertex in small.vertices[1:] if small.fates[vertex.number] == "bad"]
    assert all(vertex.kind in (VIOLATED, DEADLOCK) and vertex.violation for vertex in lost)
    assert small.fates[0] == graph.fates[0]


def test_merging_by_positions_and_by_cells() -> None:
    graph = state_graph(PROGRAMS["readers_and_writer"].build())
    by_position = graph.merged(positions(graph.machine), "cells do not count")
    pcs = {
        state & graph.machine.layout.pc_mask for vertex in graph.vertices for state in vertex.states
    }
    assert len(by_position.vertices) == len(pcs)
    by_value = graph.merged(values_of(graph.machine, ["x", "y"]), "x and y alone count")
    assert [len(vertex.states) for vertex in by_value.vertices if vertex.kind == GOOD] == [1]
    inner = [vertex for vertex in by_value.vertices if vertex.kind != GOOD]
    assert len(inner) == 3, "x and y are 0 0, 1 0 or 1 1"
    assert by_value.quotient == ("x and y alone count",)
    with pytest.raises(ModelError, match="there is no cell called z"):
        values_of(graph.machine, ["z"])
    with pytest.raises(ModelError, match="Return a tuple of plain values"):
        graph.merged(lambda state: [state], "no key")  # type: ignore[arg-type, return-value]


# -- what is not whole, and what is odd -------------------------------------------------------------------------------


@pytest.mark.parametrize("reduced", [False, True], ids=["whole", "reduced"])
def test_a_budget_ends_it_with_a_reason(reduced: bool) -> None:
    graph = state_graph(PROGRAMS["bakery"].build(), Budget(states=100), reduced=reduced)
    assert not graph.whole and graph.reason == "budget of 100 states reached"
    assert [vertex for vertex in graph.vertices if vertex.kind == UNEXPLORED]
    assert graph.fates[0] == "unknown"
    assert graph.to_json()["whole"] is False
    assert not graph.collapsed().whole and not graph.decided().whole


def test_a_user_may_cancel_it() -> None:
    graph = state_graph(
        PROGRAMS["bakery"].build(), progress=lambda states, transitions, seconds: False
    )
    assert graph.reason == "cancelled"


def test_an_unexplored_part_leaves_open_what_is_known_to_be_open() -> None:
    graph = state_graph(scenario("fork_lost_store", "6.4.0"), Budget(states=1_650))
    assert not graph.whole
    assert "good" not in {
        graph.fates[vertex.number] for vertex in graph.vertices if vertex.number == 0
    }


def test_a_program_that_goes_wrong_before_its_first_step() -> None:
    async def fails(a, b, c, out):
        raise ValueError("at once")

    graph = state_graph(tasks_on_cells(fails)())
    assert [vertex.kind for vertex in graph.vertices] == [VIOLATED] and not graph.edges


def test_a_program_that_does_nothing() -> None:
    async def nothing() -> None:
        pass

    graph = state_graph(Machine(Layout(1), [("nothing", nothing)]))
    assert [vertex.kind for vertex in graph.vertices] == [GOOD] and not graph.edges
    assert len(graph.collapsed().vertices) == len(graph.decided().vertices) == 1


# -- as data ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "build",
    [increment, lock_order, lambda: scenario("fork_torn_snapshot", "6.4.0")],
    ids=["increment", "lock_order", "fork_torn_snapshot"],
)
def test_the_json_form_is_the_same_at_every_run(build: Callable[[], Machine]) -> None:
    one, other = (json.dumps(state_graph(build()).to_json()) for _ in range(2))
    assert one == other


def test_the_json_form() -> None:
    graph = state_graph(increment())
    plain = json.loads(json.dumps(graph.to_json()))
    assert (plain["format"], plain["version"]) == ("mmlocks state graph", 1)
    assert plain["tasks"] == ["plainly", "plainly"] and plain["cells"] == ["counter"]
    assert [vertex["values"] for vertex in plain["vertices"]].count(["2"]) == 1
    assert int(plain["vertices"][0]["states"][0], 16) == graph.machine.initial
    bad = [vertex for vertex in plain["vertices"] if vertex["violation"]]
    assert bad[0]["violation"] == {"oracle": "lost_update", "message": "counter is 1, not 2"}
    assert plain["edges"][0] == {
        "from": 0, "to": 1, "steps": [{"cpu": 0, "words": "counter is 0"}], "followed": True,
    }  # fmt: skip
    merged = graph.merged(lambda state: 0, "everything").to_json()["vertices"][0]
    assert merged["values"] == [None] and len(merged["states"]) > 1
