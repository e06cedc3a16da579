"""`mmlocks graph`: the states of a scenario and the steps between them."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmlocks.cli import options, terminal
from mmlocks.cli.files import Target, save, see_names
from mmlocks.cli.names import code_of, in_file, the_one_release, the_scenario
from mmlocks.cli.terminal import ASIDE, TITLE, Meter, Status, gap, paragraph, print_json, write
from mmlocks.errors import ModelError
from mmlocks.sentences import counted

if TYPE_CHECKING:
    from mmlocks.explain.state_graph import StateGraph
    from mmlocks.machine import Machine
    from mmlocks.search import Budget

STATUSES = (
    "Exit status: 0 the graph is whole; 2 bad usage, or a file that cannot be written; "
    "3 the budget was used up, so a part of the graph is missing; 130 interrupted."
)
LINES = 150
"""A terminal shows at most so many lines of vertices. Programs have --json."""
CHOICES = 3
"""How many other views are offered when one cannot be drawn."""


class View(Enum):
    """How much of a graph is shown."""

    READABLE = "readable"
    ALL = "all"
    CHAINS = "chains"
    OPEN = "open"
    OPEN_CHAINS = "open-chains"
    LOCKS = "locks"
    OPEN_LOCKS = "open-locks"
    POSITIONS = "positions"
    PROGRESS = "progress"

    @property
    def words(self) -> str:
        """What `mmlocks.show.graph_views` calls it."""
        return self.value.replace("-", " ")


@click.command(epilog=STATUSES)
@options.scenario
@options.release
@click.option(
    "--view",
    type=click.Choice([view.value for view in View]),
    help="all: every state; chains: sequences without a choice as one edge; open: only while the "
    "outcome is open; locks: states in which the same CPUs hold the same locks as one; "
    "open-chains, open-locks: both; positions: states that differ in cells alone as one; "
    "progress: how far each of two CPUs has come.",
    show_default="readable, the finest that can be drawn; all with --json",
)
@click.option(
    "--reduced",
    is_flag=True,
    help="Take only one order of steps that commute (partial-order reduction).",
)
@click.option(
    "--show-reduction",
    "reduction",
    is_flag=True,
    help="Mark what the partial-order reduction would leave out.",
)
@click.option("--svg", metavar="FILE", type=Path, help="Write a picture of it, as SVG.")
@click.option(
    "--states",
    type=options.Whole(2),
    metavar="N",
    help="Stop after so many states.",
    show_default="20,000",
)
@options.as_json
def graph(
    scenario: str,
    release: tuple[str, ...],
    view: str | None,
    reduced: bool,
    reduction: bool,
    svg: Path | None,
    states: int | None,
    as_json: bool,
) -> int:
    """Show the states of a scenario, and what can come of each."""
    from mmlocks.explain.state_graph import SMALL
    from mmlocks.scenarios.checking import as_kernel, machine_for
    from mmlocks.search import Budget
    from mmlocks.show.graph_layout import too_large
    from mmlocks.show.graph_picture import graph_picture

    see_names(("--svg", svg, ".svg"))
    story = the_scenario(scenario)
    kernel = as_kernel(the_one_release(release))
    title = f"{story.name} on {kernel.name}: {story.title}"
    machine = machine_for(story, kernel)[0]
    asked = None if view is None else View(view)
    if asked is View.PROGRESS:
        return _progress(machine, title, svg, as_json)
    budget = SMALL if states is None else Budget(states, 10 * SMALL.seconds)
    with code_of(scenario), Meter(f"{story.name} on {kernel.name}") as meter:
        found = _explored(machine, budget, meter, reduced)
        shown = _view(found, asked or View.READABLE)
        refused = too_large(shown) if svg is not None or not as_json else ""
        if refused:
            part = f" The graph is also not whole: {found.reason}." if found.reason else ""
            named = f"{in_file(scenario) or story.name} -r {kernel.name}"
            refused += f"{part} {_way_out(found, budget, meter, named)}"
    if svg is not None:
        if refused:
            raise ModelError(refused)
        save([Target(svg, graph_picture(shown, title, reduction=reduction))])
    if as_json:
        whole = (found if asked is None else shown).to_json()
        print_json({"scenario": story.name, "release": kernel.name, **whole})
    else:
        paragraph(title, TITLE)
        gap()
        _print(shown, refused, reduction)
        _print_written(svg)
    return Status.FINE if found.whole else Status.UNPROVED


def _explored(machine: Machine, budget: Budget, meter: Meter, reduced: bool) -> StateGraph:
    from mmlocks.explain.state_graph import state_graph

    found = state_graph(machine, budget, meter, reduced)
    if meter.interrupted:  # the part that was found until Ctrl-C shows nothing
        raise KeyboardInterrupt
    return found


def _print(shown: StateGraph, refused: str, reduction: bool) -> None:
    """Print the size of a graph, how executions can end, and its vertices.

    `refused` says why the vertices cannot be shown; it is printed instead of them.
    """
    from mmlocks.show.graph_text import graph_text, summary

    if refused:
        for sentence in summary(shown):
            paragraph(sentence)
        gap()
        paragraph(refused)
        return
    parts = graph_text(shown, "", terminal.width(), reduction).rstrip("\n").split("\n\n")
    lines = 0
    for number, part in enumerate(parts):
        lines += part.count("\n") + 2
        if lines > LINES and number > 1:
            left = len(parts) - number
            paragraph(
                f"... and {left} more of {len(parts) - 1} vertices. "
                "--json prints all, and --svg FILE draws them.",
                ASIDE,
            )
            return
        write(part)
        if number + 1 < len(parts):
            gap()


def _way_out(found: StateGraph, budget: Budget, meter: Meter, asked: str) -> str:
    """Which options give a picture of this scenario; if none do, which commands describe it."""
    smaller = list(islice(_that_can_be_drawn(found, budget, meter), CHOICES))
    if smaller:
        return f"To have a picture: {', or '.join(smaller)}."
    return (
        "The other views cannot be drawn either. "
        f"To see all results: mmlocks endings {asked}; to print the whole graph as data: --json."
    )


def _that_can_be_drawn(found: StateGraph, budget: Budget, meter: Meter) -> Iterator[str]:
    """The options that give pictures, each with the size of its graph."""
    from mmlocks.show.graph_layout import too_large
    from mmlocks.show.graph_views import VIEWS
    from mmlocks.show.progress_graph import progress_graph

    def drawable(graph: StateGraph, more: str) -> Iterator[str]:
        for view in View:
            if view.words in VIEWS and not too_large(seen := _view(graph, view)):
                many = len(seen.vertices)
                yield f"--view {view.value}{more} ({counted(many, 'vertex', 'vertices')})"

    yield from drawable(found, " --reduced" if found.reduced else "")
    if not found.reduced and (less := _explored(found.machine, budget, meter, True)).whole:
        yield from drawable(less, " --reduced")
    try:
        progress_graph(found.machine)
    except ModelError:
        return
    yield f"--view {View.PROGRESS.value}"


def _progress(machine: Machine, title: str, svg: Path | None, as_json: bool) -> int:
    from mmlocks.show.progress_graph import progress_graph, progress_text
    from mmlocks.show.progress_picture import progress_picture

    if as_json:
        raise ModelError(
            "a progress graph is a picture; for data leave --view progress out, or --json."
        )
    found = progress_graph(machine)
    if svg is not None:
        save([Target(svg, progress_picture(found, title))])
    paragraph(title, TITLE)
    gap()
    write(progress_text(found, width=terminal.width()))
    _print_written(svg)
    return Status.FINE


def _print_written(svg: Path | None) -> None:
    if svg is not None:
        gap()
        write(f"Picture written to {svg}")


def _view(graph: StateGraph, view: View) -> StateGraph:
    from mmlocks.show.graph_views import VIEWS, readable

    return VIEWS[view.words](graph) if view.words in VIEWS else readable(graph)
