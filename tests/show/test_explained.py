"""Explanations and endings in notebooks: what they take, and that their words are true and a learner's own."""

from __future__ import annotations

import re
from html import unescape

import pytest

from mmlocks.errors import ModelError, ScheduleError
from mmlocks.scenarios import SCENARIOS, check
from mmlocks.show import explain, show_endings
from mmlocks.show.endings_text import _share
from mmlocks.show.explained import cell_words
from mmlocks.show.results import COLUMNS

LOST = check("fork_lost_store", "6.4.0")


def test_an_explanation_says_of_what_and_what_is_wrong() -> None:
    text = explain(LOST).text
    assert text.startswith(
        "fork_lost_store on 6.4.0: A completed store vanishes while another thread forks\n\n"
    )
    assert LOST.run is not None and LOST.run.violation is not None
    assert LOST.run.violation.message in " ".join(text.split()).partition("WHAT MATTERS")[0]


def test_a_schedule_stands_for_its_run() -> None:
    assert explain(str(LOST.schedule)).text == explain(LOST).text
    assert LOST.schedule is not None and explain(LOST.schedule).text == explain(LOST).text
    assert LOST.run is not None and "WHAT MATTERS" in explain(LOST.run).text
    with pytest.raises(ScheduleError, match="cut off while copying"):
        explain("mml1:fork_lost_store")


@pytest.mark.parametrize(
    "given",
    ["fork_lost_store", None, 3, SCENARIOS["stackrot"]],
    ids=["name", "none", "number", "scenario"],
)
def test_what_cannot_be_explained(given: object) -> None:
    with pytest.raises(
        ModelError, match=r"explain takes what check\(\.\.\.\) returned, .*It was given"
    ):
        explain(given)  # type: ignore[arg-type]
    with pytest.raises(
        ModelError, match=r"show_endings takes what check\(\.\.\.\) returned: .*It was given"
    ):
        show_endings(given)  # type: ignore[arg-type]


def test_where_nothing_is_wrong_there_is_nothing_to_explain() -> None:
    with pytest.raises(ModelError, match=r"nothing to explain: fork_lost_store on 6\.4\.3 is SAFE"):
        explain(check("fork_lost_store", "6.4.3"))


def test_cells_are_called_as_a_learner_knows_them() -> None:
    text = " ".join(explain(LOST).text.split())
    assert "Both touch the TLB entry of cpu1 for P3 and what was last stored in P3[0]." in text
    assert cell_words("child tlb0 P3") == "the child TLB entry of cpu0 for P3"
    assert cell_words("P3") == "the page-table entry P3" and cell_words("F0[1]") == "F0[1]"
    assert cell_words("heap.vm_lock.reader2") == "heap.vm_lock as cpu2 holds it"
    inside = re.compile(r"^(child )?(tlb|truth|past|history|rcu)|\.(ranges|life|freed|reader\d+)$")
    for scenario in SCENARIOS.values():
        for cell in scenario.world().layout.cells:
            assert not inside.search(cell_words(cell.name))


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [
        (5, 5, "all of them"),
        (2_860, 2_861, "all but 1 of them"),
        (110_791_037_099, 110_791_254_726, "all but 217,627 of them"),
        (99, 100, "99 % of them"),
        (995, 1_000, "all but 5 of them"),
        (1, 3, "33 % of them"),
        (1, 1_000, "one in 1,000"),
    ],
)
def test_a_share_is_neither_all_nor_nothing_by_rounding(part: int, whole: int, said: str) -> None:
    assert _share(part, whole) == said


def test_endings_in_a_notebook() -> None:
    text = show_endings(LOST).text
    assert text.startswith("fork_lost_store on 6.4.0: ") and "VIOLATED (lost_store)" in text


@pytest.mark.parametrize("function", [explain, show_endings])
def test_no_word_is_broken_where_there_is_little_room(function: object) -> None:
    assert callable(function)
    html = unescape(function(LOST).html)
    long, short = re.findall(
        r'<pre class="mml-\w+" style="[^"]*word-break:normal[^"]*">(.*?)</pre>', html, re.DOTALL
    )
    assert long.split() == short.split()
    assert (
        max(
            len(line)
            for line in short.splitlines()
            if "replay:" not in line and "mml1:" not in line
        )
        <= COLUMNS
    )
