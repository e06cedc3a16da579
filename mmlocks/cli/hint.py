"""`mmlocks hint`: one of the hints of a lab."""

from __future__ import annotations

import click

from mmlocks.cli import options
from mmlocks.cli.names import the_lab
from mmlocks.cli.terminal import Status, command, gap, paragraph


@click.command
@options.lab
@click.argument(
    "rung",
    type=options.Whole(),
    default=1,
    help="1: the plan. 2: the place. 3: almost the code. Default: 1.",
)
def hint(lab: str, rung: int) -> int:
    """
    Print a hint for a lab.

    A hint that is taken here is not recorded. In a notebook, lab07.hint(1) notes it in the cell's
    output.
    """
    chosen = the_lab(lab)
    paragraph(chosen.hint(rung))
    if rung < len(chosen.hints):
        gap()
        paragraph("For the next one:")
        command(f"mmlocks hint {lab} {rung + 1}")
    return Status.FINE
