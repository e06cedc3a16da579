"""The picture is valid, the same every time, and marks what is stale."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from mmlocks.scenarios import SCENARIOS, check
from mmlocks.show.results import show
from mmlocks.show.scene import scene
from mmlocks.show.state_picture import save, state_picture
from mmlocks.show.storyboard import key_moments, storyboard
from tests.helpers import calls

BAD = {
    name: check(SCENARIOS[name], "6.4.0")
    for name in ("fork_lost_store", "fork_torn_snapshot", "young_reproducer")
}
SVG = "{http://www.w3.org/2000/svg}"
EVERY = pytest.mark.parametrize("name", BAD)


def texts(svg: str) -> list[str]:
    return [node.text or "" for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


@EVERY
@pytest.mark.parametrize("width", [960, 440])
def test_every_moment_is_valid_xml_and_drawn_alike_twice(name: str, width: int) -> None:
    world, run = BAD[name].world, BAD[name].run
    assert run is not None
    for at in range(len(run) + 1):
        svg = state_picture(world, run, at, width)
        root = ElementTree.fromstring(svg)
        assert root.find(f"{SVG}title") is not None
        assert root.find(f"{SVG}desc") is not None
        assert " id=" not in svg
        assert svg == state_picture(world, run, at, width)


@EVERY
@pytest.mark.parametrize("width", [960, 440])
def test_no_text_begins_outside_the_picture_or_runs_out_of_it(name: str, width: int) -> None:
    world, run = BAD[name].world, BAD[name].run
    assert run is not None
    for at in range(len(run) + 1):
        root = ElementTree.fromstring(state_picture(world, run, at, width))
        for node in root.iter(f"{SVG}text"):
            kinds = (node.get("class") or "").split()
            size = 6.65 if {"m", "s"} <= set(kinds) else 7.25 if "m" in kinds else 5.6
            length = len(node.text or "") * size
            start = float(node.get("x", "0")) - {"middle": length / 2}.get(
                node.get("text-anchor", ""), 0
            )
            assert start >= 0
            assert start + length <= width, node.text


@EVERY
def test_stale_is_marked_exactly_where_a_tlb_disagrees_with_the_page_table(name: str) -> None:
    world, run = BAD[name].world, BAD[name].run
    assert run is not None
    seen = 0
    for at in range(len(run) + 1):
        disagreeing = 0
        for (_, page), cell in world.mm.tlb.cached.items():
            cached, current = (
                cell.of(run.states[at]),
                world.mm.page_table.pte[page].of(run.states[at]),
            )
            if cached is not None:
                disagreeing += (
                    current is None
                    or cached.frame is not current.frame
                    or (cached.write and not current.write)
                )
        assert texts(state_picture(world, run, at)).count("STALE") == disagreeing
        seen += disagreeing
    assert seen > 0 or name == "fork_torn_snapshot"


def test_text_from_a_scenario_is_escaped() -> None:
    checked = BAD["fork_lost_store"]
    assert checked.run is not None
    svg = storyboard(checked.world, checked.run, title="<b>&", ending="a < b")
    assert "<b>&" not in svg
    assert "<b>&" in texts(svg)


def test_the_storyboard_stops_where_the_cpu_changes() -> None:
    run = BAD["fork_lost_store"].run
    assert run is not None
    moments = key_moments(run)
    assert moments[-1] == len(run)
    assert all(run.cpus[at - 1] != run.cpus[at] for at in moments[:-1])


def test_a_scene_before_the_first_step_knows_that_everybody_can_run() -> None:
    checked = BAD["fork_lost_store"]
    assert checked.run is not None
    assert {cpu.status for cpu in scene(checked.world, checked.run, 0).cpus} == {"ready"}


def test_a_picture_takes_few_calls() -> None:
    """Players draw one at each click. These calls take 1.5 ms on a quiet computer."""
    checked = BAD["fork_lost_store"]
    run = checked.run
    assert run is not None
    state_picture(checked.world, run)  # what is computed once
    assert calls(lambda: state_picture(checked.world, run)) < 20_000  # 9,837


def test_a_result_is_shown_the_same_every_time(tmp_path: Path) -> None:
    checked = BAD["fork_lost_store"]
    bundle = show(checked)._repr_mimebundle_()
    again = show(check(SCENARIOS["fork_lost_store"], "6.4.0"))._repr_mimebundle_()
    assert bundle == again
    assert str(checked.schedule) in bundle["text/plain"]
    assert checked.run is not None
    assert (
        save(tmp_path / "x.svg", state_picture(checked.world, checked.run))
        .read_text()
        .startswith("<svg")
    )
