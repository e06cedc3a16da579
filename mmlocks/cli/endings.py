"""`mmlocks endings`: every result that a scenario can have, and how often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mmlocks.cli import options
from mmlocks.cli.names import budget, code_of, the_changed_release, the_scenario
from mmlocks.cli.terminal import (
    ASIDE,
    STATUSES,
    TITLE,
    Meter,
    Status,
    gap,
    paragraph,
    print_json,
    width,
    write,
)

if TYPE_CHECKING:
    from mmlocks.explain.endings import Ending, Endings
    from mmlocks.scenarios import Scenario


@click.command(epilog=STATUSES)
@options.scenario
@options.release
@options.patches
@options.also
@click.option(
    "--cells",
    metavar="PATTERN",
    multiple=True,
    help="Tell final states apart by these cells, such as 'F0*'. May be repeated.",
    show_default="what the pages hold",
)
@options.states
@options.seconds
@options.as_json
def endings(
    scenario: str,
    release: tuple[str, ...],
    more: tuple[str, ...],
    less: tuple[str, ...],
    also: tuple[str, ...],
    cells: tuple[str, ...],
    states: int | None,
    seconds: float | None,
    as_json: bool,
) -> int:
    """List every result that a scenario can have, and how often.

    Counts the schedules that lead to each result on a release.
    """
    from mmlocks.explain.endings import endings as searched
    from mmlocks.scenarios.checking import as_kernel, machine_for
    from mmlocks.show.endings_text import what_cells_hold, what_is_read

    story = the_scenario(scenario)
    kernel = as_kernel(the_changed_release(release, more, less))
    machine, world = machine_for(story, kernel, also=also)
    matters = what_cells_hold(world, cells) if cells else what_is_read(world)
    with code_of(scenario), Meter(f"{story.name} on {kernel.name}") as meter:
        found = searched(machine, matters, budget(states, seconds), meter)
    if as_json:
        print_json(_endings_json(found, story, kernel.name))
    else:
        _print(found, story, kernel.name)
    if found.reason:
        return Status.UNPROVED
    return (
        Status.WRONG
        if any(ending.violation is not None for ending in found.endings)
        else Status.FINE
    )


def _print(found: Endings, scenario: Scenario, kernel: str) -> None:
    from mmlocks.show.endings_text import endings_text

    paragraph(f"{scenario.name} on {kernel}: {scenario.title}", TITLE)
    gap()
    write(endings_text(found, (scenario, kernel), width()))
    good = [ending.states for ending in found.endings if ending.violation is None]
    if sum(good) > len(good):
        gap()
        told = f"The {len(good)} good endings are" if len(good) > 1 else "The good ending is"
        paragraph(
            f"{told} {sum(good):,} final states in the count of `mmlocks run`. "
            "Here, states that look the same are one ending.",
            ASIDE,
        )
    if "budget" in found.reason:
        paragraph(options.FURTHER)


def _endings_json(found: Endings, scenario: Scenario, kernel: str) -> dict[str, Any]:
    """The endings for programs. `schedules` is null if there are infinitely many."""
    from mmlocks.machine import Schedule

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
