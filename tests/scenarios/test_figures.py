"""What every scenario comes to on every release, to the last state: the figures that a change of the model or of the search must not move unseen.

They are in figures.json, a line for each pair: outcome, oracle, states, transitions, final states, and the schedule that is shown. After a change that
is meant to move them, write them anew and look at what `git diff` says:

    MMLOCKS_NEW_FIGURES=1 pytest -n 0 tests/scenarios/test_figures.py
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from mmlocks.releases import RELEASES
from mmlocks.scenarios import SCENARIOS, check

FILE = Path(__file__).with_name("figures.json")
Figures = dict[str, list[Any]]


def recorded() -> Figures:
    found: Figures = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    return found


def figures_of(scenario: str) -> Figures:
    found: Figures = {}
    for release in RELEASES:
        checked = check(scenario, release)
        verdict, schedule = checked.verdict, checked.schedule
        oracle = verdict.violation.oracle if verdict.violation is not None else None
        counts = [verdict.states, verdict.transitions, verdict.endings]
        found[f"{scenario} on {release}"] = [verdict.outcome, oracle, *counts, str(schedule or "")]
    return found


def write(found: Figures) -> None:
    order = [f"{scenario} on {release}" for scenario in SCENARIOS for release in RELEASES]
    kept = {**recorded(), **found}
    lines = ",\n".join(
        f"{json.dumps(pair)}: {json.dumps(kept[pair])}" for pair in order if pair in kept
    )
    FILE.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_outcome_counts_and_schedule_are_as_recorded(scenario: str) -> None:
    found = figures_of(scenario)
    if os.environ.get("MMLOCKS_NEW_FIGURES"):
        write(found)
    assert found == {pair: figures for pair, figures in recorded().items() if pair in found}


def test_a_line_is_recorded_for_every_scenario_on_every_release_and_for_nothing_else() -> None:
    assert list(recorded()) == [
        f"{scenario} on {release}" for scenario in SCENARIOS for release in RELEASES
    ]
