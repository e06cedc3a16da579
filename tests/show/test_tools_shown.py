"""What Linux's own tools would have said, as a notebook shows it."""

from __future__ import annotations

import pytest

from mmlocks.errors import ModelError
from mmlocks.scenarios import SCENARIOS, check
from mmlocks.show import show_tools


def test_each_tool_has_its_say_in_text_and_in_html() -> None:
    shown = show_tools(check(SCENARIOS["stackrot"], "6.4.0"))
    lines = shown.text.splitlines()
    assert max(map(len, lines)) <= 100
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == [
        "KASAN",
        "KCSAN",
        "lockdep",
        "assertions",
    ]
    for part in (
        "<b>KASAN</b> found something. use-after-free",
        "<b>KCSAN</b> is silent.",
        "The same as text",
    ):
        assert part in shown.html


def test_a_safe_search_leaves_the_tools_nothing_to_look_at() -> None:
    assert "no run that goes wrong" in show_tools(check(SCENARIOS["stackrot"], "6.4.1")).text


def test_anything_else_is_a_clear_error() -> None:
    with pytest.raises(
        ModelError, match=r"takes what check\(\.\.\.\) returned: .* It was given 'stackrot'"
    ):
        show_tools("stackrot")  # type: ignore[arg-type]
