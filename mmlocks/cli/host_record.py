"""`mmlocks host record`: save what a kernel does, for computers with another kernel."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from mmlocks.cli import host_options
from mmlocks.cli.host_options import Count, order_of
from mmlocks.cli.terminal import Status, command, complain, paragraph, write
from mmlocks.sentences import counted


@click.command
@click.argument("file", metavar="FILE", type=Path, help="JSON; compressed if the name ends in .gz.")
@host_options.sequences(100)
@host_options.ops
@host_options.seed
@host_options.first
def record(file: Path, sequences: int, ops: int, seed: str | None, first: int) -> int:
    """Save what the kernel does with random programs in a file."""
    from mmlocks.conformance.diff import record as recorded
    from mmlocks.conformance.recorded import check_place, save

    check_place(file)
    order = order_of(seed, sequences, ops, first, 1)
    with Count(sequences) as progress:
        try:
            recording = recorded(order, progress)
        except KeyboardInterrupt:
            complain(f"interrupted; {file} was not written.")
            sys.exit(Status.INTERRUPTED)
    save(file, recording)
    write(
        f"{counted(len(recording.runs), 'program')} of seed {order.seed} "
        f"on Linux {recording.kernel}: {file}"
    )
    paragraph("To compare the model with it, on any computer:")
    command(f"mmlocks host diff --recorded {shlex.quote(str(file))}")
    return Status.FINE
