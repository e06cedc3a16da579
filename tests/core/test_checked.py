"""What `check` takes and what it returns says of itself."""

from __future__ import annotations

import pytest

from mmlocks.errors import ModelError
from mmlocks.scenarios import SCENARIOS, check
from mmlocks.search import strategy_named


def test_a_scenario_and_a_strategy_can_be_called_by_name() -> None:
    named, given = check("stackrot", "6.4.0"), check(SCENARIOS["stackrot"], "6.4.0")
    assert named.scenario is given.scenario and named.verdict.schedule == given.verdict.schedule
    by_name = check("stackrot", "6.4.3", strategy="preemptions:1").verdict
    by_value = check("stackrot", "6.4.3", strategy=strategy_named("preemptions:1")).verdict
    assert by_name.coverage == by_value.coverage and "preemption" in by_name.coverage


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("stackrott", "6.4.0"), "there is no scenario called 'stackrott'"),
        ((None, "6.4.0"), r"check takes a scenario, or its name: check\('stackrot', '6.4.0'\); not None"),
        (("stackrot", "6.4.99"), "6.4.99"),
        (("stackrot", None), "a kernel, a release, or its name, such as '6.4.0'; not None"),
        (("stackrot", "6.4.0", None, None, True, (), "pctt"), "there is no strategy called 'pctt'"),
        (("stackrot", "6.4.0", None, None, True, (), 4), "check takes a strategy, or how one is written"),
    ],
    ids=[
        "no_such_scenario",
        "no_scenario",
        "no_such_release",
        "no_release",
        "no_such_strategy",
        "no_strategy",
    ],
)
def test_a_slip_is_answered_with_what_to_write(arguments: tuple[object, ...], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        check(*arguments)  # type: ignore[arg-type]


def test_it_says_in_two_sentences_what_was_found() -> None:
    found = check("stackrot", "6.4.0")
    said = repr(found)
    assert said.startswith(f"stackrot on 6.4.0: VIOLATED (freed_node), {found.verdict.coverage}. Next: ")
    assert "explain(…)" in said and "0x" not in said and len(said) < 200
    fine = repr(check("stackrot", "6.4.3"))
    assert fine.startswith("stackrot on 6.4.3: SAFE, all interleavings searched") and "explain" not in fine
    assert found._repr_html_() == f"<p>{said}</p>"
    assert found == found and found != check("stackrot", "6.4.3")
