"""Writing a picture, or something else that was asked for, to a file: whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from mmlocks.errors import MmlocksError
from mmlocks.machine import Run
from mmlocks.mm.world import World
from mmlocks.scenarios import Scenario


def save_picture(file: Path, scenario: Scenario, world: World, run: Run, step: int | None) -> None:
    """Draw the state after a step, or the whole run as a storyboard, into `file`.

    Raises MmlocksError if that cannot be written. A file that was there is replaced at once or left as it was.
    """
    from mmlocks.show.storyboard import storyboard
    from mmlocks.show.svg import picture
    from mmlocks.show.text import blame

    if step is None:
        drawn = storyboard(world, run, title=scenario.title, ending=blame(run, world, scenario))
    else:
        drawn = picture(world, run, step)
    save(file, drawn)


def save(file: Path, content: str | bytes, what: str = "picture") -> None:
    """Write something to a file, as `write_whole` does. Raises MmlocksError if that is not possible, for whatever reason."""
    try:
        write_whole(file, content, what)
    except OSError as problem:
        raise MmlocksError(
            f"the {what} cannot be written to {file}: {problem.strerror or problem}."
        ) from None


def write_whole(file: Path, content: str | bytes, what: str = "picture") -> None:
    """Write a file beside its place and move it there, so that nobody ever sees half of it."""
    if file.is_dir():
        raise MmlocksError(f"{file} is a folder. Name the file in it that the {what} is to be written to.")
    if file.exists() and not file.is_file():
        raise MmlocksError(
            f"{file} is no ordinary file, so it is not replaced. Choose another name for the {what}."
        )
    place = file.resolve()  # a link stays a link
    if not place.parent.is_dir():
        raise MmlocksError(
            f"there is no folder {place.parent} to write {file.name} in. Make it first, or choose another."
        )
    beside = place.with_name(f".{place.name[:100]}.{os.getpid()}.tmp")
    try:
        with beside.open("xb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
        beside.replace(place)
    finally:
        beside.unlink(missing_ok=True)
