"""`mmlocks export`: the marks of a class, in the teacher's own gradebook."""

from __future__ import annotations

from pathlib import Path

import click

from mmlocks.cli.files import Target, save, see_names
from mmlocks.cli.terminal import Status, gap, paragraph, write
from mmlocks.errors import GradingError

NOTES = (
    "FILE is what you exported: in Canvas, Grades > Export; in Moodle, the assignment's grading "
    "worksheet or the gradebook's plain text file. Every byte outside of the column is kept. "
    "Exit status: 0 written; 1 not written, since marks were left out; 2 bad usage, or a file that "
    "cannot be used."
)


@click.command(epilog=NOTES)
@click.argument("system", type=click.Choice(["canvas", "moodle"]), help="Whose gradebook it is.")
@click.argument(
    "grades", metavar="GRADES", type=Path, help="The folder that `mmlocks grade` wrote, or its CSV."
)
@click.argument("file", metavar="FILE", type=Path, help="The gradebook that you exported.")
@click.option(
    "--out", metavar="FILE", type=Path, help="Where to write it. Default: beside it, -filled."
)
@click.option("--column", default="", metavar="NAME", help="The column. Default: the lab's.")
@click.option("--allow-missing", is_flag=True, help="Write it although marks are left out.")
def export(
    system: str, grades: Path, file: Path, out: Path | None, column: str, allow_missing: bool
) -> int:
    """
    Fill the gradebook that you exported from Canvas or Moodle.

    Students are matched by id, then login, then e-mail. Each mark that finds no certain row is
    named, and nothing is written then, unless --allow-missing.
    """
    from mmlocks.grading.formats import read_grades
    from mmlocks.grading.gradebook import fill_canvas, fill_moodle
    from mmlocks.grading.tables import read_table

    target = out or file.with_name(f"{file.stem}-filled.csv")
    see_names(("--out", target, ".csv"))
    if target.resolve() == file.resolve():
        raise GradingError(f"{target} is the gradebook itself. Write to another file.")
    marks = read_grades(grades)
    table = read_table(file)
    filled = (fill_canvas if system == "canvas" else fill_moodle)(marks, table, column)
    for sentence in (*marks.notes, *filled.warnings):
        paragraph(f"Note: {sentence}")
    if filled.left_out:
        verb = "is" if len(filled.left_out) == 1 else "are"
        paragraph(f"{len(filled.left_out)} of the marks {verb} left out:")
        for sentence in filled.left_out:
            paragraph(sentence, indent=4)
    gap()
    if filled.left_out and not allow_missing:
        paragraph("Nothing was written. To write the other marks, add --allow-missing.")
        return Status.WRONG
    save([Target(target, filled.content, "gradebook")])
    for sentence in filled.said:
        paragraph(sentence)
    write(f"Written: {target}")
    return Status.FINE
