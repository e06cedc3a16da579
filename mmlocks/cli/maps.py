"""`mmlocks maps`: the address space of a real process, as text, JSON or a picture."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from mmlocks.cli import options
from mmlocks.cli.files import Target, save, see_names
from mmlocks.cli.terminal import ASIDE, TITLE, Status, gap, paragraph, print_json, width, write
from mmlocks.errors import MmlocksError

if TYPE_CHECKING:
    from rich.text import Text

    from mmlocks.mm.area import Area

SCHEMA = (
    "--json prints a list with one object per area, lowest address first: start, end (text, "
    "hexadecimal), start_int, end_int, size (bytes), perms (as in maps, such as rw-p), offset "
    "(bytes), device, inode, file (the last column of maps, or empty), flags (the two-letter codes "
    "of VmFlags, sorted, or null if they are not known: only smaps has them, since Linux 3.8), "
    "kind (program, library, file, heap, stack, anonymous, shared memory, kernel, no access), "
    "guessed (true if the kind is a guess: with --file alone, which file is the program)."
)
NOTES = (
    f"{SCHEMA} Exit status: 0 fine; 2 bad usage, no such process, or a file that cannot be read."
)
PID_DIGITS = 9
"""The kernel's largest PID has seven."""
AT_ONCE = 500
"""Lines that are printed together. This is fast, and `| head` still ends it early."""


class Source(NamedTuple):
    """What was read: areas, a name for them, and the file of the program if it is known."""

    areas: list[Area]
    name: str
    program: str = ""
    note: str = ""


@click.command(epilog=NOTES)
@click.argument(
    "pid", required=False, help="A process's number, as in /proc. Default: mmlocks itself."
)
@click.option(
    "--file", metavar="FILE", help="Read a saved copy of maps or smaps; - is standard input."
)
@click.option("--svg", metavar="FILE", type=Path, help="Write a picture of it, as SVG.")
@click.option("--png", metavar="FILE", type=Path, help="The same as PNG. Needs matplotlib.")
@options.as_json
def maps(
    pid: str | None, file: str | None, svg: Path | None, png: Path | None, as_json: bool
) -> int:
    """
    Show the address space of a process: what lies where.

    For your shell: `mmlocks maps $$`. The process runs while it is read, so an area that moves
    may be missing or appear twice. For a process of another computer: there
    cat /proc/PID/smaps > FILE, and here --file FILE.
    """
    see_names(("--svg", svg, ".svg"), ("--png", png, ".png"))
    if file is not None and pid is not None:
        raise MmlocksError(f"give a process ({pid}) or --file, not both: each has its own areas.")
    source = _saved(file) if file is not None else _process(pid)
    _draw(source, svg, png)
    if as_json:
        print_json(areas_json(source.areas, source.program))
        return Status.FINE
    _print(source)
    for target in (svg, png):
        if target is not None:
            write(f"Picture written to {target}")
    return Status.FINE


def areas_json(areas: Iterable[Area], program: str = "") -> list[dict[str, Any]]:
    """The areas for programs; see SCHEMA.

    Addresses are there as text too: some languages have no integers above 2**53.
    """
    from mmlocks.maps.describe import describe
    from mmlocks.maps.kinds import size_of

    return [
        {
            "start": f"{one.area.start:#x}",
            "end": f"{one.area.end:#x}",
            "start_int": one.area.start,
            "end_int": one.area.end,
            "size": size_of(one.area),
            "perms": one.area.perms,
            "offset": one.area.offset,
            "device": one.area.device,
            "inode": one.area.inode,
            "file": one.area.file,
            "flags": None if one.area.flags is None else sorted(one.area.flags),
            "kind": one.kind.name,
            "guessed": one.guessed,
        }
        for one in describe(list(areas), program)
    ]


# -- what was asked for ----------------------------------------------------------------------------


def _saved(file: str) -> Source:
    from mmlocks.maps.reading import read_saved

    return Source(read_saved(file), "standard input" if file == "-" else file)


def _process(text: str | None) -> Source:
    from mmlocks.maps.reading import name_of, program_of, read_areas

    own = text is None or text == "self"
    pid = os.getpid() if own or text is None else _number(text)
    areas, name, program = read_areas(pid), name_of(pid), program_of(pid)
    if text is None:
        note = (
            "This is mmlocks itself. For another process: mmlocks maps PID. "
            "For your shell: mmlocks maps $$"
        )
    else:
        note = "" if own else "It may have run while it was read."
    return Source(areas, f"process {pid}{f' ({name})' if name else ''}", program, note)


def _number(text: str) -> int:
    """The PID that was typed."""
    if re.fullmatch("-?[0-9]+", text) is None:
        shown = text if len(text) <= 40 else f"{text[:37]}..."
        if "/" in text or Path(text[:255]).is_file():
            raise MmlocksError(
                f"{shown!r} is not a process number. "
                f"To read a saved maps or smaps: --file {shown!r}"
            )
        name = text if re.fullmatch(r"[\w.+-]{1,40}", text) else "NAME"
        raise MmlocksError(
            f"{shown!r} is not a process number. To find the number of a program: pidof {name}"
        )
    if len(text) > PID_DIGITS:
        shown = text if len(text) <= 40 else f"{text[:37]}..."
        raise MmlocksError(
            f"there is no process {shown}: process numbers are smaller. To list all: ps -e"
        )
    return int(text)


# -- what is shown ---------------------------------------------------------------------------------


def _print(source: Source) -> None:
    from mmlocks.maps.kinds import human, visible
    from mmlocks.maps.text import GUESS, accounted, guesses, sums, table

    paragraph(f"Address space of {visible(source.name)}", TITLE)
    if source.note:
        paragraph(source.note, ASIDE)
    gap()
    lines = list(table(source.areas, width(), source.program))
    for start in range(0, len(lines), AT_ONCE):
        write("\n".join(lines[start : start + AT_ONCE]), paint=_painter)
    gap()
    write("\n".join(sums(source.areas, source.program)))
    promised = accounted(source.areas)
    if promised is not None:
        paragraph(
            f"The kernel has promised memory or swap for {human(promised)} of this "
            "(accounted memory).",
            ASIDE,
        )
    if guesses(source.areas, source.program):
        paragraph(GUESS, ASIDE)
    unknown = sum(area.flags is None for area in source.areas)
    if unknown and unknown == len(source.areas):
        paragraph(
            "Flags (locked, not copied by fork, ...) are not known: "
            "only smaps has them, since Linux 3.8.",
            ASIDE,
        )
    elif unknown:
        paragraph(f"The flags of {unknown} of {len(source.areas)} areas are not known.", ASIDE)


def _painter(shown: Text) -> None:
    """Show gaps and the heading less brightly than areas."""
    shown.highlight_regex(r"(?m)^ +\.\.\. .*$", ASIDE)
    shown.highlight_regex(r"^addresses .*", TITLE)


def _draw(source: Source, svg: Path | None, png: Path | None) -> None:
    """Draw all pictures that were asked for, then write them."""
    title = f"Address space of {source.name}"
    targets = []
    if svg is not None:
        from mmlocks.maps.picture import maps_picture

        targets.append(Target(svg, maps_picture(source.areas, title, source.program)))
    if png is not None:
        from mmlocks.maps.png import maps_png

        targets.append(Target(png, maps_png(source.areas, title, source.program)))
    save(targets)
