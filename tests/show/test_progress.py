"""The progress graph: the textbook's picture of two locks taken in opposite orders, and what it says of kernels."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from mmlocks.errors import ModelError
from mmlocks.machine import Machine
from mmlocks.scenarios import SCENARIOS, check
from mmlocks.scenarios.scenario import as_kernel, machine_for
from mmlocks.search.graph import state_graph
from mmlocks.show import show_progress
from mmlocks.show.progress import NARROW, WIDE, progress_graph, progress_picture, progress_text
from tests.core.programs import PROGRAMS

TWO_LOCKS = """\
  + + + + +
  + + #   +
  + # # # +
  o x # + +
  o o + + +
"""
TITLE = "{http://www.w3.org/2000/svg}title"


def scenario(name: str, release: str) -> Machine:
    return machine_for(SCENARIOS[name], as_kernel(release))[0]


def test_two_locks_in_opposite_orders() -> None:
    """As in every textbook: a cross of walls, a corner from which no way leads on, and one that cannot be reached."""
    graph = progress_graph(PROGRAMS["lock_order"].build())
    text = progress_text(graph)
    assert text.startswith(TWO_LOCKS)
    assert "# a wall: both would hold lock0 or lock1" in text
    assert graph.steps[0] == ("takes lock0", "takes lock1", "releases lock1", "releases lock0")
    assert graph.locks[2, 2] == ("lock0", "lock1") and graph.locks[2, 1] == ("lock1",)
    assert graph.bad[-1] == (1, 1) and len(graph.bad) == 3
    assert (graph.good[0], graph.good[-1]) == ((0, 0), (4, 4))


def test_paths_lead_right_and_upwards_past_the_walls() -> None:
    for machine in (
        PROGRAMS["lock_order"].build(),
        scenario("stackrot", "6.4.0"),
        scenario("stackrot", "6.4.3"),
    ):
        graph = progress_graph(machine)
        for path in (graph.good, graph.bad):
            for (x, y), (right, up) in pairwise(path):
                assert (right >= x and up == y) or (right == x and up >= y)
                assert graph.fields[int(right)][int(up)] not in ("wall", "never")


def test_every_joint_position_is_told() -> None:
    machine = PROGRAMS["sequence_count"].build()
    graph = progress_graph(machine)
    reached = sum(field not in ("wall", "never") for column in graph.fields for field in column)
    pcs = {
        state & machine.layout.pc_mask for vertex in state_graph(machine).vertices for state in vertex.states
    }
    assert 0 < reached <= len(pcs)


def test_what_mended_stackrot_is_a_wall() -> None:
    broken, mended = (progress_graph(scenario("stackrot", release)) for release in ("6.4.0", "6.4.3"))
    assert {lock for locks in broken.locks.values() for lock in locks} == {"page_table_lock"}
    assert {lock for locks in mended.locks.values() for lock in locks} == {"page_table_lock", "mmap_lock"}
    assert broken.bad and "has been freed" in broken.message
    assert not mended.bad and {field for column in mended.fields for field in column} == {"good", "wall"}


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (PROGRAMS["lock_order_of_three"].build, "takes two CPUs; this program has 3"),
        (PROGRAMS["peterson"].build, "cpu0 goes round in a loop"),
    ],
    ids=["three_cpus", "a_loop"],
)
def test_a_program_that_has_none(build: object, says: str) -> None:
    assert callable(build)
    with pytest.raises(ModelError, match=says):
        progress_graph(build())


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("name", ["lock_order", "increment", "sequence_count", "freed_without_grace_period"])
def test_it_is_drawn(name: str, width: float) -> None:
    graph = progress_graph(PROGRAMS[name].build())
    svg = progress_picture(graph, name, width)
    assert svg == progress_picture(progress_graph(PROGRAMS[name].build()), name, width)
    assert not re.search(r"\bid=|<script|url\(|href", svg)
    titles = [node.text for node in ElementTree.fromstring(svg).iter(TITLE)]
    fields = sum(field != "never" for column in graph.fields for field in column)
    assert len(titles) == fields + 1
    right = float(ElementTree.fromstring(svg).get("viewBox", "").split()[2])
    for node in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}rect"):
        if node.get("x") is not None:
            assert (
                0
                <= float(node.get("x", ""))
                <= float(node.get("x", "")) + float(node.get("width", ""))
                <= right
            )


def test_in_notebooks() -> None:
    shown = show_progress(check(SCENARIOS["stackrot"], "6.4.0"))
    assert shown.text.startswith("stackrot on 6.4.0: how far each CPU has come")
    assert shown.html.count("<svg") == 2
    assert show_progress(PROGRAMS["lock_order"].build(), "Two philosophers").text.startswith(
        "Two philosophers"
    )
