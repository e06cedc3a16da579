"""What `mmlocks explain` and `mmlocks endings` print: why a run goes wrong, and all that a scenario can come to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmlocks.cli import terminal
from mmlocks.cli.report import print_json
from mmlocks.cli.terminal import ASIDE, TITLE, Status, gap, paragraph, write
from mmlocks.machine import Schedule
from mmlocks.show.endings_text import endings_text
from mmlocks.show.explained import explanation_text, order_json
from mmlocks.show.text import sentence

if TYPE_CHECKING:
    from rich.text import Text

    from mmlocks.explain.endings import Ending, Endings
    from mmlocks.explain.explaining import Explanation
    from mmlocks.scenarios import Scenario

FURTHER = "To search further, raise --states or --seconds."


def explanation_shown(
    found: Explanation, scenario: Scenario, kernel: str, as_json: bool
) -> str | dict[str, Any]:
    """An explanation as text, or as values for programs."""
    if as_json:
        return _explanation_json(found, scenario, kernel)
    return explanation_text(found, (scenario.name, kernel), terminal.width())


def print_explanation(
    found: Explanation, scenario: Scenario, kernel: str, shown: str | dict[str, Any]
) -> Status:
    """Print what `explanation_shown` made of it, and say how the command ends."""
    if isinstance(shown, str):
        paragraph(f"{scenario.name} on {kernel}: {scenario.title}", TITLE)
        gap()
        paragraph(sentence(found.violation.message))
        gap()
        write(shown, paint=_paint)
        if any("budget" in reason for reason in found.reasons):
            paragraph(FURTHER)
    else:
        print_json(shown)
    return Status.UNPROVED if found.reasons else Status.WRONG


def print_endings(found: Endings, scenario: Scenario, kernel: str, as_json: bool) -> Status:
    """Print all endings, and say how the command ends."""
    if as_json:
        print_json(_endings_json(found, scenario, kernel))
    else:
        paragraph(f"{scenario.name} on {kernel}: {scenario.title}", TITLE)
        gap()
        write(endings_text(found, (scenario.name, kernel), terminal.width()))
        good = [ending.states for ending in found.endings if ending.violation is None]
        if sum(good) > len(good):
            gap()
            told = f"The {len(good)} good endings are" if len(good) > 1 else "The good ending is"
            paragraph(
                f"{told} {sum(good):,} final states, which `mmlocks run` counts: here those that look the same are one.",
                ASIDE,
            )
        if "budget" in found.reason:
            paragraph(FURTHER)
    if found.reason:
        return Status.UNPROVED
    return (
        Status.WRONG
        if any(ending.violation is not None for ending in found.endings)
        else Status.FINE
    )


def _paint(shown: Text) -> None:
    shown.highlight_regex(r"(?m)^[A-Z]{3,}[A-Z ]*\b", TITLE)


# -- for programs -----------------------------------------------------------------------------------------------------


def _explanation_json(found: Explanation, scenario: Scenario, kernel: str) -> dict[str, Any]:
    """Steps count from 1. `orders` is null, and so are `step` of `no_return` and `twin`, where the budget ended first."""
    orders, twin, back = found.slice.orders, found.twin, found.no_return
    return {
        "scenario": scenario.name,
        "release": kernel,
        "steps": len(found.run),
        "violation": found.violation._asdict(),
        "slice": {
            "steps": list(found.slice.steps),
            "orders": None if orders is None else [order_json(order, found) for order in orders],
            "settled": found.slice.settled,
        },
        "no_return": {"step": back.step, "at_most": back.at_most},
        "twin": None
        if twin is None
        else {
            "common": twin.common,
            "preemptions": twin.preemptions,
            "closest": twin.closest,
            "turned": [place for place, order in enumerate(orders or ()) if order in found.turned],
            "schedule": str(Schedule(scenario.name, kernel, twin.run.cpus)),
        },
        "states": found.states,
        "seconds": round(found.seconds, 6),
        "reasons": list(found.reasons),
    }


def _endings_json(found: Endings, scenario: Scenario, kernel: str) -> dict[str, Any]:
    """`schedules` is null where there are infinitely many."""

    def ending_json(ending: Ending) -> dict[str, Any]:
        return {
            "violation": None if ending.violation is None else ending.violation._asdict(),
            "value": None if ending.violation is not None else dict(ending.value),
            "states": ending.states,
            "schedules": ending.schedules,
            "schedule": str(Schedule(scenario.name, kernel, ending.schedule)),
        }

    return {
        "scenario": scenario.name,
        "release": kernel,
        "endings": [ending_json(ending) for ending in found.endings],
        "schedules": found.schedules,
        "states": found.states,
        "transitions": found.transitions,
        "reason": found.reason,
    }
