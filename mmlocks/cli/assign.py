"""`mmlocks assign`: what an instructor hands out."""

from __future__ import annotations

from pathlib import Path

import click

from mmlocks.cli.names import the_lab
from mmlocks.cli.terminal import TITLE, Status, command, gap, paragraph, write


@click.command()
@click.argument("labs", metavar="LAB...", nargs=-1, required=True, help="Such as lab07.")
@click.option(
    "--out", metavar="DIR", type=Path, required=True, help="A new folder for what is handed out."
)
@click.option(
    "--roster",
    metavar="FILE",
    type=Path,
    help="Your list of students (CSV): a copy is kept for `mmlocks grade`.",
)
@click.option(
    "--due", metavar="DATE", help="2026-12-24, or 2026-12-24T12:00+01:00; told to the students."
)
def assign(labs: tuple[str, ...], out: Path, roster: Path | None, due: str | None) -> int:
    """Hand out a lab: notebooks, instructions and a zip.

    There is no solution in it, and all students get the same.
    """
    from mmlocks.grading.assign import assign as made
    from mmlocks.grading.assign import parsed_due

    chosen = list({lab.name: lab for lab in map(the_lab, labs)}.values())
    files = made(chosen, out, roster, parsed_due(due) if due is not None else None)
    write("Assigned", TITLE)
    for what, file in files.items():
        write(f"  {what:<22} {file}")
    gap()
    paragraph("When the answers are in:")
    command(f"mmlocks grade SUBMISSIONS --assignment {out} --out GRADES")
    return Status.FINE
