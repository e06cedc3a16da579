"""The stage of lines in a notebook: its controls, and what they show."""

from __future__ import annotations

from typing import Any

import pytest

from mmlocks.notebook import lab
from mmlocks.notebook.parsons import Stage


@pytest.fixture
def stage() -> Stage:
    return lab("07").where_does_the_line_go()


def controls(widget: Any) -> dict[str, Any]:
    """The buttons by their words, the choice of a line, the text, and what is said."""
    _, choice, moving, listing, acting, said = widget.children
    buttons = {one.description: one for one in (*moving.children, *acting.children)}
    return {**buttons, "choice": choice, "listing": listing, "said": said}


def test_buttons_move_the_chosen_line_and_the_text_shows_it(stage: Stage) -> None:
    widget = stage._widget()
    found = controls(widget)
    assert found["Down"].disabled  # no line is in the text yet
    found["choice"].value = 1
    found["Put the line in"].click()
    found["Down"].click()
    found["Down"].click()
    assert stage.now.text.splitlines()[3] == "        await vma_start_write(mpnt)"
    assert "vma_start_write(mpnt)" in found["listing"].value
    assert not found["Down"].disabled
    controls(widget)["Take the line out"].click()
    assert stage.now.placed == ()


def test_judging_a_wrong_place_shows_its_run_and_names_the_mistake(stage: Stage) -> None:
    found = controls(stage._widget())
    found["choice"].value = 1
    stage.now = stage.now.put(1, 4)
    found["Judge it"].click()
    said = found["said"].value
    assert "lost_store: WRONG" in said and "<svg" in said
    assert "has not reached your line 6 yet" in said
    assert "locks each VMA only after copying it" in said


def test_the_full_check_accepts_a_right_arrangement(stage: Stage) -> None:
    stage.now = stage.now.put(1, 2)
    shown = lab("07").check("snapshot", stage)  # type: ignore[arg-type]
    assert "✓ snapshot: CORRECT" in shown.text and "your arrangement" in shown.text


def test_without_widgets_it_is_a_list_and_the_text(stage: Stage) -> None:
    assert "2  await vma_start_write(mpnt)" in repr(stage)
    assert "async def dup_mmap(mm, oldmm):" in repr(stage)


def test_a_hint_is_recorded_in_its_output_and_in_the_verdicts() -> None:
    lab07 = lab("07")
    data, told = lab07.hint(2)._repr_mimebundle_()
    assert "text/plain" in data
    assert told == {"mmlocks": {"hint": {"lab": "lab07", "rung": 2}}}
    lab07.hint(1)
    names: dict[str, Any] = {}
    exec("async def dup_mmap(mm, oldmm):\n    pass", names)
    _, told = lab07.verdict(names)._repr_mimebundle_()
    assert told == {"mmlocks": {"hints": {"lab": "lab07", "rungs": [1, 2]}}}
