"""`mmlocks replay`: show a run again, or write it to a file for other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmlocks.cli import options
from mmlocks.cli.files import Target, save, see_names
from mmlocks.cli.names import code_of
from mmlocks.cli.recorded import replayed
from mmlocks.cli.terminal import STATUSES, TITLE, Status, gap, paragraph, width, write
from mmlocks.errors import ScheduleError
from mmlocks.sentences import counted

if TYPE_CHECKING:
    from mmlocks.machine import Run


@click.command(epilog=STATUSES)
@click.argument(
    "text", metavar="TEXT", help="A schedule, `mml1:...`, as printed below every timeline."
)
@click.option(
    "--step",
    type=options.Whole(0),
    metavar="N",
    help="Show the state after step N, not the timeline.",
)
@click.option("--svg", metavar="FILE", type=Path, help="Write a picture of what is shown, as SVG.")
@options.answer
@click.option(
    "--trace",
    metavar="FILE",
    type=Path,
    help="Write everything that each step did, as JSON with a schema.",
)
@click.option(
    "--chrome",
    metavar="FILE",
    type=Path,
    help="Write the run for Perfetto or about:tracing (Trace Event Format).",
)
@options.own_scenario
@options.also
def replay(
    text: str,
    step: int | None,
    svg: Path | None,
    answer: Path | None,
    trace: Path | None,
    chrome: Path | None,
    scenario: str | None,
    also: tuple[str, ...],
) -> int:
    """Show a run again: timeline, state, picture, or trace file."""
    from mmlocks.cli import report
    from mmlocks.cli.answers import own_code
    from mmlocks.show.state_text import state_text

    see_names(("--svg", svg, ".svg"), ("--trace", trace, ".json"), ("--chrome", chrome, ".json"))
    with own_code(answer or Path()), code_of(scenario or ""):
        story, world, whole, name = replayed(text, answer, also, scenario)
    if step is not None and step > len(whole):
        raise ScheduleError(
            f"this schedule has {counted(len(whole), 'step')}, "
            f"so --step takes 0 to {len(whole)}, not {step}."
        )
    shown = whole if step is None else whole.at(step)
    pictures = (
        [Target(svg, report.run_picture(story, world, whole, step))] if svg is not None else []
    )
    save([*pictures, *_traces(whole, story.name, name, trace, chrome)])
    paragraph(f"{story.name} on {name}: {story.title}", TITLE)
    gap()
    if step is None:
        report.print_run(whole, world, story)
    else:
        write(state_text(world, whole, step, width()))
    if svg is not None or trace is not None or chrome is not None:
        gap()
    for what, file in (("Picture", svg), ("Trace", trace), ("Trace for viewers", chrome)):
        if file is not None:
            write(f"{what} written to {file}")
    return Status.WRONG if shown.violation is not None else Status.FINE


def _traces(
    run: Run, scenario: str, kernel: str, trace: Path | None, chrome: Path | None
) -> list[Target]:
    """The files to write of a run: as JSON, and for trace viewers."""
    from mmlocks.machine import Schedule
    from mmlocks.show.trace import trace_json
    from mmlocks.show.trace_viewer import chrome_trace

    schedule = Schedule(scenario, kernel, run.cpus)
    return [
        Target(file, json.dumps(export(run, schedule), indent=1) + "\n", "trace")
        for file, export in ((trace, trace_json), (chrome, chrome_trace))
        if file is not None
    ]
