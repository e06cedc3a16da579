"""`mmlocks graph`: the states of a scenario and the steps between them; and runs written down for other programs."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmlocks.cli import terminal
from mmlocks.cli.names import the_release, the_scenario
from mmlocks.cli.terminal import Meter, Status, gap, write
from mmlocks.errors import ModelError
from mmlocks.releases import RELEASES

if TYPE_CHECKING:
    from mmlocks.machine import Machine, Run
    from mmlocks.search.graph import StateGraph

GRAPH_STATUSES = (
    "Exit status: 0 the graph is whole; 2 bad usage, or a file that cannot be written; "
    "3 the budget was used up, so a part of the graph is missing."
)


class View(Enum):
    """How much of a graph is shown."""

    READABLE = "readable"
    ALL = "all"
    CHAINS = "chains"
    OPEN = "open"
    POSITIONS = "positions"
    PROGRESS = "progress"


def graph(
    scenario: Annotated[
        str, typer.Argument(metavar="SCENARIO", help="One of those that `mmlocks scenarios` lists.")
    ],
    release: Annotated[
        str,
        typer.Option(
            "--release", "-r", metavar="R", show_default=False, help=f"Required: {', '.join(RELEASES)}."
        ),
    ] = "",
    view: Annotated[
        View | None,
        typer.Option(
            help="all: every state; chains: sequences without a choice as one edge; open: only while the outcome is open; "
            "positions: states that differ in cells alone as one; progress: of two CPUs, how far each has come.",
            show_default="readable, the first of all, chains and open that can be drawn; all with --json",
        ),
    ] = None,
    reduced: Annotated[
        bool,
        typer.Option("--reduced", help="Of steps that commute only one order (partial-order reduction)."),
    ] = False,
    reduction: Annotated[
        bool, typer.Option("--show-reduction", help="Mark what the partial-order reduction would leave out.")
    ] = False,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a picture of it.")] = None,
    states: Annotated[
        int | None,
        typer.Option(min=2, metavar="N", help="Stop after so many states.", show_default="20,000"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value and nothing else.")] = False,
) -> int:
    """Show the states of a scenario, and what can come of each."""
    from mmlocks.cli.picture import save
    from mmlocks.cli.report import print_json
    from mmlocks.scenarios.scenario import as_kernel, machine_for
    from mmlocks.search import Budget
    from mmlocks.search.graph import SMALL, state_graph
    from mmlocks.show.graph import graph_text, picture

    story = the_scenario(scenario)
    if not release.strip():
        raise ModelError(
            f"say of which kernel release: --release R, where R is one of {', '.join(RELEASES)}."
        )
    kernel = as_kernel(the_release(release))
    title = f"{story.name} on {kernel.name}: {story.title}"
    if view is View.PROGRESS:
        return _progress(machine_for(story, kernel)[0], title, svg, as_json)
    budget = SMALL if states is None else Budget(states, 10 * SMALL.seconds)
    with Meter(f"{story.name} on {kernel.name}") as meter:
        found = state_graph(machine_for(story, kernel)[0], budget, meter, reduced)
    shown = _view(found, view or (View.ALL if as_json else View.READABLE))
    if svg is not None:
        save(svg, picture(shown, title, reduction=reduction))
    if as_json:
        print_json({"scenario": story.name, "release": kernel.name, **shown.to_json()})
    else:
        write(graph_text(shown, title, terminal.width(), reduction))
        if svg is not None:
            gap()
            write(f"Picture written to {svg}")
    return Status.FINE if found.whole else Status.UNPROVED


def _progress(machine: Machine, title: str, svg: Path | None, as_json: bool) -> int:
    from mmlocks.cli.picture import save
    from mmlocks.show.progress import progress_graph, progress_picture, progress_text

    if as_json:
        raise ModelError("a progress graph is a picture; for data leave --view progress out, or --json.")
    found = progress_graph(machine)
    if svg is not None:
        save(svg, progress_picture(found, title))
    write(progress_text(found, title))
    if svg is not None:
        gap()
        write(f"Picture written to {svg}")
    return Status.FINE


def _view(graph: StateGraph, view: View) -> StateGraph:
    from mmlocks.search.graph import positions
    from mmlocks.show.graph import readable

    match view:
        case View.ALL:
            return graph
        case View.CHAINS:
            return graph.collapsed()
        case View.OPEN:
            return graph.decided()
        case View.POSITIONS:
            return graph.merged(positions(graph.machine), "states that differ in cells alone are one")
        case _:
            return readable(graph)


def save_traces(run: Run, scenario: str, kernel: str, trace: Path | None, chrome: Path | None) -> None:
    """Write a run down as JSON, and for trace viewers. Raises MmlocksError if a file cannot be written; it is then left as it was."""
    from mmlocks.cli.picture import save
    from mmlocks.machine import Schedule
    from mmlocks.show.trace import chrome_trace, trace_json

    schedule = Schedule(scenario, kernel, run.cpus)
    for file, export in ((trace, trace_json), (chrome, chrome_trace)):
        if file is not None:
            save(file, json.dumps(export(run, schedule), indent=1) + "\n", "trace")
