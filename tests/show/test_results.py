"""What notebooks show of a check: what to do next, and what to write instead of what is wrong."""

from __future__ import annotations

import re
from html import unescape

import pytest

from mmlocks.errors import ModelError
from mmlocks.machine import Run
from mmlocks.scenarios import SCENARIOS, check
from mmlocks.show import (
    explain,
    show,
    show_endings,
    show_graph,
    show_progress,
    show_state,
    show_tools,
)
from mmlocks.show.results import COLUMNS, in_lines
from mmlocks.show.text import WIDTH

TO_ASK = {
    function.__name__: function for function in (explain, show_graph, show_progress, show_endings)
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_all_that_is_named_as_next_works(name: str) -> None:
    found = check(name, "6.4.0")
    text = " ".join(show(found).text.split())
    named = set(re.findall(r"(\w+)\(…\)", text))
    if found.verdict.outcome != "violated":
        assert not named
        return
    assert {"show_graph", "show_endings"} <= named <= set(TO_ASK)
    assert ("show_progress" in named) == (found.scenario.cpus == 2)
    assert "What next" in show(found).html
    if name != "young_reproducer":  # which takes longer, and is like fork_lost_store
        for function in named - {"show_progress"}:
            assert TO_ASK[function](found).text


def test_what_is_wrong_is_said() -> None:
    found = check("fork_lost_store", "6.4.0")
    with pytest.raises(
        ModelError, match=r"show takes what check\(\.\.\.\) returned: .*It was given 'stackrot'"
    ):
        show("stackrot")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"show_tools takes what check.*It was given a Machine"):
        show_tools(found.machine)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="a run is shown in its world"):
        show(Run.of(found.machine))


def test_text_is_set_in_lines_that_fit() -> None:
    found = check("fork_lost_store", "6.4.0")
    for shown in (
        show(found),
        show_tools(found),
        show_state(found.world, Run.of(found.machine)),
        show_graph(found),
    ):
        long, short = re.findall(
            r'<pre class="mml-(?:long|short)"[^>]*>(.*?)</pre>', shown.html, re.DOTALL
        )
        for text, width in ((long, WIDTH), (short, COLUMNS)):
            lines = [line for line in unescape(text).splitlines() if "mml1:" not in line]
            assert max(map(len, lines)) <= width
    assert in_lines("a < b").count("<pre") == 1 and "a &lt; b" in in_lines("a < b")
