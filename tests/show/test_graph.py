"""The drawing of a state graph: all of it is there, in words too; nothing lies on anything else; what would be a hairball is not drawn."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlocks.errors import ModelError
from mmlocks.explain.state_graph import Edge, Move, StateGraph, state_graph
from mmlocks.machine import Machine
from mmlocks.scenarios import SCENARIOS, check
from mmlocks.scenarios.checking import as_kernel, machine_for
from mmlocks.search import Budget
from mmlocks.show import show_graph
from mmlocks.show.draw import NARROW, WIDE, cpu_colour, sans_width
from mmlocks.show.graph_layout import MOST, too_large
from mmlocks.show.graph_picture import CUT, DASHES, Drawing, graph_picture
from mmlocks.show.graph_text import graph_text, story
from mmlocks.show.graph_views import VIEWS, readable, refusal
from mmlocks.show.holders import holders
from mmlocks.show.layered import lay_out
from tests.machine.programs import PROGRAMS

SVG = "{http://www.w3.org/2000/svg}"


def scenario(name: str, release: str) -> Machine:
    return machine_for(SCENARIOS[name], as_kernel(release))[0]


def program(name: str) -> Callable[[], StateGraph]:
    return lambda: state_graph(PROGRAMS[name].build())


GRAPHS: dict[str, Callable[[], StateGraph]] = {
    **{name: program(name) for name in PROGRAMS},
    "peterson_collapsed": lambda: state_graph(PROGRAMS["peterson"].build()).collapsed(),
    "readers_reduced": lambda: state_graph(
        PROGRAMS["readers_and_writer"].build(), reduced=True
    ).collapsed(),
    "lost_store": lambda: readable(state_graph(scenario("fork_lost_store", "6.4.0"))),
    "lost_store_mended": lambda: readable(state_graph(scenario("fork_lost_store", "6.4.3"))),
    "not_whole": lambda: state_graph(PROGRAMS["peterson"].build(), Budget(states=20)),
}
NOT_DRAWN = {"bakery", "bakery_without_choosing", "peterson_turn_first"}
DRAWN = {name: cache(make) for name, make in GRAPHS.items() if name not in NOT_DRAWN}
EVERY = pytest.mark.parametrize("name", DRAWN)


def titles(svg: str) -> list[str]:
    return [node.text or "" for node in ElementTree.fromstring(svg).iter(f"{SVG}title")]


def texts(svg: str) -> list[str]:
    return [node.text or "" for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


@cache
def drawn(name: str, width: float = WIDE) -> str:
    return graph_picture(DRAWN[name](), name, width)


# -- all of it is there -----------------------------------------------------------------------------------------------


@EVERY
def test_every_vertex_and_every_edge_is_drawn_and_told(name: str) -> None:
    graph = DRAWN[name]()
    svg = drawn(name)
    told = titles(svg)
    for vertex in graph.vertices:
        assert story(graph, vertex) in told
        assert (
            any(re.search(rf"(^|\s){vertex.number}($|\s)", text) for text in texts(svg))
            or vertex.number == 0
        )
    for edge in graph.edges:
        assert "\n".join(f"cpu{move.cpu}: {move.words}" for move in edge.moves) in told
    # The first title is the drawing's; then one for each edge, and for each vertex, or for each copy of it.
    assert len(told) >= 1 + len(graph.edges) + len(graph.vertices)
    text = graph_text(graph, name)
    assert len(re.findall(r"^ +-> \d+  ", text, re.MULTILINE)) == len(graph.edges)
    assert len(re.findall(r"^\d+  ", text, re.MULTILINE)) == len(graph.vertices)
    assert text in ElementTree.fromstring(svg).findtext(f"{SVG}desc", "")


@EVERY
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_it_is_the_same_at_every_run_and_alone(name: str, width: float) -> None:
    svg = drawn(name, width)
    assert svg == graph_picture(GRAPHS[name](), name, width)
    assert not re.search(r"\bid=|<script|url\(|href", svg)
    assert not re.search(r"nan|inf\b", svg.partition("</style>")[2].replace("info", ""))


def test_cpus_differ_in_more_than_colour() -> None:
    svg = graph_picture(state_graph(PROGRAMS["lock_order_of_three"].build()))
    for cpu in range(3):
        dash = f";stroke-dasharray:{DASHES[cpu]}" if DASHES[cpu] else ""
        assert f'class="edge" style="stroke:{cpu_colour(cpu)}{dash}"' in svg
        assert f"cpu{cpu}: eat" in texts(svg)
    assert len(set(DASHES)) == len(DASHES)


def test_ends_differ_in_more_than_colour() -> None:
    shown = texts(graph_picture(state_graph(PROGRAMS["lock_order"].build())))
    assert "✓ 18" in shown and "✕ 4 deadlock" in shown
    assert any("cpu0 waits for lock1, held by cpu1" in text for text in shown)
    shown = texts(graph_picture(state_graph(PROGRAMS["increment"].build())))
    assert "✕ 11 lost_update" in shown
    assert "a broken rule, lost_update: counter is 1, not 2" in shown


def test_a_small_graph_says_what_each_step_does() -> None:
    shown = texts(graph_picture(state_graph(PROGRAMS["increment"].build())))
    assert shown.count("counter is 0") >= 3 and "counter: 1 -> 2" in shown
    assert "counter is 0" not in texts(
        graph_picture(state_graph(PROGRAMS["increment"].build()), width=NARROW)
    )


def test_an_end_to_which_much_leads_is_drawn_where_it_is_reached() -> None:
    graph = DRAWN["lost_store"]()
    good = next(vertex for vertex in graph.vertices if vertex.kind == "good")
    assert texts(graph_picture(graph)).count(f"✓ {good.number}") == 1 + len(
        {edge.source for edge in graph.edges if edge.target == good.number}
    )
    assert "mends" not in graph_text(graph) and "In 18 vertices the outcome is open" in graph_text(
        graph
    )


def test_a_graph_that_is_not_whole_says_so() -> None:
    graph = DRAWN["not_whole"]()
    assert "Not whole: budget of 20 states reached." in graph_text(graph)
    shown = texts(graph_picture(graph))
    assert any("Not whole: budget of 20 states reached." in text for text in shown)
    assert any(text.startswith("… ") for text in shown)
    assert "not known: the budget was used up" in shown


def test_what_the_reduction_leaves_out_can_be_made_faint() -> None:
    graph = state_graph(PROGRAMS["increment_atomically"].build())
    left = sum(not edge.followed for edge in graph.edges)
    assert left and graph_picture(graph, reduction=True).count('<g class="left">') == left
    assert '<g class="left">' not in graph_picture(graph)
    assert graph_text(graph, reduction=True).count("(left out by the reduction)") == left


# -- nothing lies on anything else ------------------------------------------------------------------------------------


def boxes(svg: str, height: float) -> list[tuple[float, float, float, float]]:
    found = []
    for node in ElementTree.fromstring(svg).iter(f"{SVG}rect"):
        if node.get("height") == f"{height:g}" and node.get("class") in (
            "open",
            "fine",
            "lost",
            "end",
            "bad",
            "free",
        ):
            x, y, wide = (float(node.get(name, "0")) for name in ("x", "y", "width"))
            found.append((x, y, x + wide, y + height))
    return found


@EVERY
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_vertices_lie_beside_each_other_and_inside(name: str, width: float) -> None:
    svg = drawn(name, width)
    view = [float(part) for part in ElementTree.fromstring(svg).get("viewBox", "").split()]
    found = boxes(svg, 22)
    assert len(found) >= len(DRAWN[name]().vertices)
    for box in found:
        assert box[0] >= 0 and box[2] <= view[2] and box[1] >= 0 and box[3] <= view[3]
    for one, other in combinations(found, 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


@EVERY
def test_edges_lead_downwards_unless_they_close_a_cycle(name: str) -> None:
    graph = DRAWN[name]()
    pairs = [(edge.source, edge.target) for edge in graph.edges]
    laid = lay_out(pairs, [30.0] * len(graph.vertices), 20)
    back = 0
    for (source, target), route in zip(pairs, laid.routes, strict=True):
        if source == target:
            assert route == ()
            continue
        layers = [layer for _, layer in route]
        assert (layers[0], layers[-1]) == (laid.layer[source], laid.layer[target])
        step = 1 if layers[-1] > layers[0] else -1
        assert layers == list(range(layers[0], layers[-1] + step, step))
        back += step < 0
    without_cycles = all(
        vertex.number in _acyclic(pairs, len(graph.vertices)) for vertex in graph.vertices
    )
    assert (back == 0) == without_cycles or any(source == target for source, target in pairs)


def _acyclic(pairs: list[tuple[int, int]], count: int) -> set[int]:
    """The vertices that are removed when those without an incoming edge are removed again and again (Kahn 1962)."""
    left, edges = set(range(count)), set(pairs)
    while free := {vertex for vertex in left if not any(target == vertex for _, target in edges)}:
        left -= free
        edges = {edge for edge in edges if edge[0] not in free}
    return set(range(count)) - left


def test_crossings_are_taken_out() -> None:
    """A ladder whose rungs were numbered crosswise."""
    edges = [(0, 1), (0, 2), (0, 3), (1, 6), (2, 5), (3, 4), (6, 7), (5, 8), (4, 9)]
    laid = lay_out(edges, [20.0] * 10, 10)
    for layer in range(1, 3):
        ways = [
            (laid.x[source], laid.x[target])
            for source, target in edges
            if laid.layer[source] == layer
        ]
        assert all((a - c) * (b - d) > 0 for (a, b), (c, d) in combinations(ways, 2))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=30), st.integers(1, 40))
def test_any_graph_is_laid_out_without_overlap(edges: list[tuple[int, int]], gap: int) -> None:
    edges = [(0, vertex) for vertex in range(1, 12)] + edges
    widths = [20.0 + 3 * vertex for vertex in range(12)]
    laid = lay_out(edges, widths, gap)
    rows: dict[int, list[int]] = {}
    for vertex, layer in enumerate(laid.layer):
        rows.setdefault(layer, []).append(vertex)
    for row in rows.values():
        row.sort(key=lambda vertex: laid.x[vertex])
        for one, other in pairwise(row):
            assert laid.x[other] - laid.x[one] >= (widths[one] + widths[other]) / 2 + gap - 1e-6
    assert min(x - width / 2 for x, width in zip(laid.x, widths, strict=True)) >= -1e-6
    assert max(x + width / 2 for x, width in zip(laid.x, widths, strict=True)) <= laid.width + 1e-6


# -- what is not drawn ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(NOT_DRAWN))
def test_these_are_too_large(name: str) -> None:
    assert too_large(GRAPHS[name]())


def test_a_hairball_is_not_drawn() -> None:
    graph = state_graph(PROGRAMS["bakery"].build())
    assert len(graph.vertices) > MOST
    with pytest.raises(ModelError, match="beyond 150 a drawing is a hairball"):
        graph_picture(graph)
    text = graph_text(graph, refused=refusal(graph))
    assert "a drawing is a hairball" in text and "->" not in text
    shown = show_graph(graph)
    assert "<svg" not in shown.html and "a drawing is a hairball" in shown.html


def test_what_is_too_wide_is_not_drawn_either() -> None:
    graph = state_graph(PROGRAMS["lock_order_of_three"].build())
    vertices = [
        graph.vertices[0],
        *(graph.vertices[1]._replace(number=number) for number in range(1, 100)),
    ]
    edges = [graph.edges[0]._replace(source=0, target=number) for number in range(1, 100)]
    assert "pixels wide" in too_large(StateGraph(graph.machine, tuple(vertices), tuple(edges)))


def test_the_finest_view_that_can_be_read_is_shown() -> None:
    small = state_graph(PROGRAMS["increment"].build())
    assert readable(small) is small
    large = state_graph(scenario("fork_lost_store", "6.4.0"))
    assert readable(large).quotient == ("states whose outcome is settled are one",)
    long = state_graph(scenario("fork_torn_across_vmas", "disabled"))
    assert len(long.vertices) > MOST
    assert readable(long).quotient == ("sequences without a choice are one edge",)


# -- in notebooks -----------------------------------------------------------------------------------------------------


def test_show_graph_takes_what_a_learner_has() -> None:
    checked = check(SCENARIOS["fork_lost_store"], "6.4.0")
    shown = show_graph(checked)
    assert "fork_lost_store on 6.4.0" in shown.text and shown.html.count("<svg") == 2
    assert "<details>" in shown.html and str(shown) == shown.text
    machine = PROGRAMS["lock_order"].build()
    assert "19 states and 22 steps" in show_graph(machine, title="Two philosophers").text
    assert show_graph(state_graph(machine).collapsed()).text.startswith("State graph")
    with pytest.raises(
        ModelError, match=r"show_graph takes what check.*It was given 'fork_lost_store'"
    ):
        show_graph("fork_lost_store")  # type: ignore[arg-type]


def test_a_drawing_that_needs_more_room_can_be_scrolled_and_its_words_stay() -> None:
    graph = state_graph(scenario("publish_early", "6.4.0"))
    wide = Drawing(graph, "Publish early", NARROW, reduction=False)
    above, note, scrolled, under = wide.pieces()
    assert wide.width > NARROW and "sideways" in note
    assert (
        f'<div style="overflow-x:auto"><div style="min-width:{wide.width:.5g}px"><svg' in scrolled
    )
    assert "Publish early" in texts(above) and "a good end" in texts(under)
    for words in (above, under):
        view = [float(part) for part in ElementTree.fromstring(words).get("viewBox", "").split()]
        assert view[2] == NARROW
        for node in ElementTree.fromstring(words).iter(f"{SVG}text"):
            text = node.text or ""
            assert (
                float(node.get("x", ""))
                + 0.9 * sans_width(text) * (1.2 if node.get("class") == "h" else 1)
                < NARROW
            )
            assert view[1] < float(node.get("y", "")) < view[1] + view[3]


# -- views ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["stackrot", "fork_torn_across_vmas", "anon_vma_unlocked_check"])
def test_of_what_is_large_a_view_is_chosen_and_named(name: str) -> None:
    """None of their plain views can be drawn: the reduced graph can be, or the story of who holds which lock."""
    shown = show_graph(scenario(name, "6.4.0"))
    assert shown.html.count("<svg") >= 2
    assert "The finest view that can be drawn: the whole graph has" in shown.text


@pytest.mark.parametrize("name", ["stackrot", "anon_vma_unlocked_check"])
def test_a_refusal_names_what_can_be_drawn(name: str) -> None:
    machine = scenario(name, "6.4.0")
    shown = show_graph(machine, view="all")
    assert "<svg" not in shown.html
    named = re.findall(
        r"view='([a-z ]+)'(, reduced=True)? \((\d+) vert", " ".join(shown.text.split())
    )
    assert named
    for view, less, count in named:
        offered = show_graph(machine, view=view, reduced=bool(less))
        assert "<svg" in offered.html and f"{count} vertices" in offered.text


def test_what_is_not_drawn_is_told_without_the_numbers_of_vertices() -> None:
    shown = show_graph(scenario("stackrot", "6.4.0"), view="all")
    assert "<details" not in shown.html
    assert "Executions end in 1 vertex (a broken rule, freed_node: cpu1: reads" in " ".join(
        shown.text.split()
    )


def test_of_a_part_only_views_of_that_part_are_chosen() -> None:
    """Whoever sets a budget does not want to have more searched than that."""
    part = state_graph(scenario("stackrot", "6.4.0"), Budget(states=300))
    view = readable(part)
    assert not too_large(view) and view.reason == part.reason != "" and not view.reduced


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_can_be_asked_for(view: str) -> None:
    machine = PROGRAMS["lock_order"].build()
    shown = show_graph(machine, view=view)
    assert shown.text.startswith("State graph")
    assert ("need not be an execution" in " ".join(shown.text.split())) == (
        view in ("locks", "open locks", "positions")
    )
    known = VIEWS[view](state_graph(machine))
    assert f"{len(known.vertices)} " in shown.text and set(known.fates) <= {"good", "bad", "open"}


def test_a_view_that_does_not_exist() -> None:
    machine = PROGRAMS["lock_order"].build()
    with pytest.raises(ModelError, match=r"there is no view 'hairball'\. Known views: all, chains"):
        show_graph(machine, view="hairball")
    with pytest.raises(ModelError, match="show_progress"):
        show_graph(machine, view="progress")


def test_states_in_which_the_same_locks_are_held_are_one() -> None:
    """Two philosophers: nobody holds a fork, one holds one or both, or each holds one."""
    graph = VIEWS["locks"](state_graph(PROGRAMS["lock_order"].build()))
    held = [
        {(one.lock, one.cpu) for one in holders(graph.machine.layout, vertex.states[0])}
        for vertex in graph.vertices
    ]
    assert {("lock0", 0), ("lock1", 1)} in held
    kept = [
        (frozenset(locks), vertex.kind) for locks, vertex in zip(held, graph.vertices, strict=True)
    ]
    assert len(set(kept)) == len(kept)


# -- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lost_store", "increment", "lock_order"])
def test_no_edge_runs_through_the_words_of_another(name: str) -> None:
    root = ElementTree.fromstring(drawn(name))
    lines = [
        node.get("d", "")
        for node in root.iter(f"{SVG}path")
        if node.get("class") in ("edge", "line")
    ]
    points = [point for line in lines for point in _points(line)]
    words = [
        (
            float(node.get("x", ""))
            - (6.5 * len(node.text or "") if node.get("text-anchor") == "end" else 0),
            float(node.get("y", "")),
            node.text or "",
        )
        for node in root.iter(f"{SVG}text")
        if node.get("class") == "m s halo"
    ]
    assert words
    for x, y, text in words:
        assert not [
            point
            for point in points
            if x + 2 < point[0] < x + len(text) * 6 and y - 8 < point[1] < y
        ], text


def _points(line: str) -> list[tuple[float, float]]:
    """Points on a path of cubic curves."""
    if "C" not in line:
        return []
    numbers = [float(part) for part in re.findall(r"-?[\d.]+", line)]
    found = []
    for at in range(0, len(numbers) - 2, 6):
        ends = [complex(*numbers[at + n : at + n + 2]) for n in range(0, 8, 2)]
        for share in range(33):
            t, s = share / 32, 1 - share / 32
            here = (
                ends[0] * s**3 + 3 * ends[1] * s * s * t + 3 * ends[2] * s * t * t + ends[3] * t**3
            )
            found.append((here.real, here.imag))
    return found


def test_words_that_are_cut_or_left_out_are_said_to_stand_elsewhere() -> None:
    assert CUT in texts(drawn("lost_store")) and CUT in " ".join(texts(drawn("lost_store", NARROW)))
    two = Edge(0, 1, (Move(0, "steps"),))
    graph = state_graph(PROGRAMS["increment"].build())
    short = StateGraph(
        graph.machine, (graph.vertices[0], graph.vertices[-1]._replace(number=1)), (two,)
    )
    assert CUT not in texts(graph_picture(short))


def test_ends_that_are_the_same_are_explained_once() -> None:
    graph = readable(state_graph(scenario("fork_torn_across_vmas", "6.4.0")))
    shown = texts(graph_picture(graph))
    assert "✕ 58, 105" in shown
    assert sum(text.startswith("a broken rule, snapshot: the child sees") for text in shown) == 1
    assert "Executions end in 58, 105 (a broken rule, snapshot:" in graph_text(graph, width=1000)


def test_one_is_not_many() -> None:
    graph = state_graph(PROGRAMS["increment"].build())
    lone = StateGraph(graph.machine, graph.vertices[:1], graph.edges[:0])
    assert "1 state and 0 steps" in graph_text(lone)
