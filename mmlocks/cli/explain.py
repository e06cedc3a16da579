"""`mmlocks explain`: why a run goes wrong, and what would have prevented it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmlocks.cli import options, terminal
from mmlocks.cli.names import budget, code_of
from mmlocks.cli.recorded import replayed
from mmlocks.cli.terminal import STATUSES, TITLE, Meter, Status, gap, paragraph, print_json, write

if TYPE_CHECKING:
    from rich.text import Text

    from mmlocks.explain.explanation import Explanation
    from mmlocks.scenarios import Scenario


@click.command(epilog=STATUSES)
@click.argument(
    "text",
    metavar="TEXT",
    help="A schedule that goes wrong, `mml1:...`, as `mmlocks run` prints it.",
)
@options.answer
@options.own_scenario
@options.also
@options.states
@options.seconds
@options.as_json
def explain(
    text: str,
    answer: Path | None,
    scenario: str | None,
    also: tuple[str, ...],
    states: int | None,
    seconds: float | None,
    as_json: bool,
) -> int:
    """Say why a run goes wrong, and what would have prevented it.

    Prints which of its steps matter, when it was too late, and the closest run that ends well.
    """
    from mmlocks.cli.answers import own_code
    from mmlocks.explain.explanation import explain as searched
    from mmlocks.show.explained import explanation_text

    with own_code(answer or Path()), code_of(scenario or ""):
        story, _, whole, name = replayed(text, answer, also, scenario)
        with Meter(f"explaining {story.name} on {name}") as meter:
            found = searched(whole, budget(states, seconds), meter)
        # The text needs the steps to be taken again, so the answer's code may run here.
        shown = (
            _explanation_json(found, story, name)
            if as_json
            else explanation_text(found, (story, name), terminal.width())
        )
    if isinstance(shown, str):
        _print(shown, found, story, name)
    else:
        print_json(shown)
    return Status.UNPROVED if found.reasons else Status.WRONG


def _print(shown: str, found: Explanation, scenario: Scenario, kernel: str) -> None:
    from mmlocks.show.text import sentence

    paragraph(f"{scenario.name} on {kernel}: {scenario.title}", TITLE)
    gap()
    paragraph(sentence(found.violation.message))
    gap()
    write(shown, paint=_paint)
    if any("budget" in reason for reason in found.reasons):
        paragraph(options.FURTHER)


def _paint(shown: Text) -> None:
    shown.highlight_regex(r"(?m)^[A-Z]{3,}[A-Z ]*\b", TITLE)


def _explanation_json(found: Explanation, scenario: Scenario, kernel: str) -> dict[str, Any]:
    """The explanation for programs. Steps count from 1.

    `orders`, `twin` and `step` of `no_return` are null if the budget was used up before.
    """
    from mmlocks.machine import Schedule
    from mmlocks.show.explained import order_json

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
