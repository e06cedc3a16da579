"""The progress graph: the textbook's picture of two locks taken in opposite orders, and what it says of kernels."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from mmlocks.errors import ModelError
from mmlocks.explain.state_graph import state_graph
from mmlocks.machine import Machine
from mmlocks.scenarios import SCENARIOS, check
from mmlocks.scenarios.checking import as_kernel, machine_for
from mmlocks.show import show_progress
from mmlocks.show.draw import NARROW, WIDE
from mmlocks.show.progress_graph import in_short, progress_graph, progress_text, way_words
from mmlocks.show.progress_picture import SKIPS, progress_picture
from tests.machine.programs import PROGRAMS

TWO_LOCKS = """\
  + + + + +
  + + #   +
  + # # # +
  o x # + +
  o o + + +
"""
SVG = "{http://www.w3.org/2000/svg}"
TITLE = f"{SVG}title"


def texts(svg: str) -> list[str]:
    return [node.text or "" for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def scenario(name: str, release: str) -> Machine:
    return machine_for(SCENARIOS[name], as_kernel(release))[0]


def test_two_locks_in_opposite_orders() -> None:
    """As in every textbook: a cross of walls, a corner from which no way leads on, and one that cannot be reached."""
    graph = progress_graph(PROGRAMS["lock_order"].build())
    text = progress_text(graph)
    assert text.startswith(TWO_LOCKS)
    assert "# a wall: both would hold lock0 or lock1" in text
    assert graph.steps[0] == (
        ("takes lock0",),
        ("takes lock1",),
        ("releases lock1",),
        ("releases lock0",),
    )
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


def test_a_step_along_a_shorter_branch_is_a_bow() -> None:
    """The fields that it passes are blank, because nobody comes there: a straight line would say otherwise."""
    graph = progress_graph(scenario("merge_dup_anon_vma", "6.4.0"))
    far = [
        (before, after)
        for path in (graph.good, graph.bad)
        for before, after in pairwise(path)
        if abs(before[0] - after[0]) + abs(before[1] - after[1]) > 1
    ]
    assert far
    svg = progress_picture(graph)
    bows = [
        node
        for node in ElementTree.fromstring(svg).iter(f"{SVG}path")
        if "skip" in (node.get("class") or "") and "Q" in (node.get("d") or "")
    ]
    assert len(bows) == len(far)
    assert SKIPS in texts(svg) and "left blank: no execution comes there" in texts(svg)
    straight = progress_graph(PROGRAMS["increment"].build())
    assert SKIPS not in texts(progress_picture(straight))


def test_the_way_that_ends_well_keeps_off_the_end_of_the_other() -> None:
    for name in ("stackrot", "merge_dup_anon_vma", "stack_expand_fault"):
        graph = progress_graph(scenario(name, "6.4.0"))
        x, y = graph.bad[-1]
        assert graph.good
        assert all(max(abs(x - right), abs(y - up)) > 0.6 for right, up in graph.good)


@pytest.mark.parametrize("name", ["stackrot", "merge_dup_anon_vma"])
def test_every_step_is_told_in_full(name: str) -> None:
    machine = scenario(name, "6.4.0")
    text = progress_text(progress_graph(machine), width=10_000)
    assert "…" not in text
    whole = state_graph(machine)
    for edge in whole.edges:
        if whole.vertices[edge.target].states:
            assert re.search(
                rf"^ +(\d+\.|or:) {re.escape(edge.moves[0].words)}$", text, re.MULTILINE
            )


def test_what_differs_stands_side_by_side() -> None:
    assert in_short(["takes lock0"]) == "takes lock0"
    two = ["begins at node0 to look for 0x3000", "begins at node1 to look for 0x3000"]
    assert in_short(two) == "begins at node0 or node1 to look for 0x3000"
    assert in_short(["frees right", "left is 1"]) == "frees right; or: left is 1"
    assert in_short(["a", "b", "c"]) == "a; or: b; or 1 other" and in_short(list("abcd")).endswith(
        "or 2 others"
    )
    assert in_short(["is dead", "is dead and freed"]) == "is dead; or: is dead and freed"
    assert in_short(["x", "x x"]) == "x; or: x x"


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("name", ["stackrot", "merge_dup_anon_vma"])
def test_both_lists_are_there_at_every_width_and_nothing_is_cut(name: str, width: float) -> None:
    graph = progress_graph(scenario(name, "6.4.0"))
    shown = texts(progress_picture(graph, name, width))
    for steps in graph.steps:
        for number, step in enumerate(steps, 1):
            assert f"{number}." in shown
            for word in in_short(step).split():
                assert any(word in text for text in shown)
    assert not any(text.endswith("…") for text in shown)


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_numbers_of_steps_do_not_touch(width: float) -> None:
    graph = progress_graph(scenario("stackrot", "6.4.0"))
    boxes = [
        tuple(float(node.get(name, "")) for name in ("x", "y", "width"))
        for node in ElementTree.fromstring(progress_picture(graph, "", width)).iter(f"{SVG}rect")
        if node.get("height") == "14"
    ]
    row = sorted(box for box in boxes if box[1] == max(y for _, y, _ in boxes))
    assert len(row) > 8
    assert all(one[0] + one[2] + 2 < other[0] for one, other in pairwise(row))


def test_the_text_tells_both_ways_and_only_the_signs_that_are_there() -> None:
    text = progress_text(progress_graph(PROGRAMS["lock_order"].build()))
    assert "can ever run again): 1 step of cpu1, then 1 step of cpu0" in " ".join(text.split())
    assert "x ends badly" in text and "blank: no execution comes there" in text
    stackrot = " ".join(progress_text(progress_graph(scenario("stackrot", "6.4.0"))).split())
    assert "x ends badly" not in stackrot and "blank" not in stackrot
    assert "then 1 step of cpu1, the last of which breaks the rule" in stackrot
    assert way_words([(0, 0)]) == "no step at all"


def test_every_joint_position_is_told() -> None:
    machine = PROGRAMS["sequence_count"].build()
    graph = progress_graph(machine)
    reached = sum(field not in ("wall", "never") for column in graph.fields for field in column)
    pcs = {
        state & machine.layout.pc_mask
        for vertex in state_graph(machine).vertices
        for state in vertex.states
    }
    assert 0 < reached <= len(pcs)


def test_what_mended_stackrot_is_a_wall() -> None:
    broken, mended = (
        progress_graph(scenario("stackrot", release)) for release in ("6.4.0", "6.4.3")
    )
    assert {lock for locks in broken.locks.values() for lock in locks} == {"page_table_lock"}
    assert {lock for locks in mended.locks.values() for lock in locks} == {
        "page_table_lock",
        "mmap_lock",
    }
    assert broken.bad and "has been freed" in broken.message
    assert not mended.bad and {field for column in mended.fields for field in column} == {
        "good",
        "wall",
    }


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (
            PROGRAMS["lock_order_of_three"].build,
            "takes two CPUs; this program has 3.*with show_graph",
        ),
        (PROGRAMS["peterson"].build, "cpu0 goes round in a loop.*with show_graph"),
    ],
    ids=["three_cpus", "a_loop"],
)
def test_a_program_that_has_none(build: object, says: str) -> None:
    assert callable(build)
    with pytest.raises(ModelError, match=says):
        progress_graph(build())


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize(
    "name", ["lock_order", "increment", "sequence_count", "freed_without_grace_period"]
)
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
    with pytest.raises(
        ModelError, match=r"show_progress takes what check.*It was given 'stackrot'"
    ):
        show_progress("stackrot")  # type: ignore[arg-type]
