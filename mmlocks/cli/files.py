"""Writing pictures, and whatever else was asked for, to files: all of it, and each file whole, or nothing at all."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from mmlocks.errors import MmlocksError

FORMATS = frozenset(
    {".svg", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".pdf", ".ps", ".eps", ".json", ".html"}
)
"""What a name that ends so promises; `.txt` or none promise nothing."""


class Target(NamedTuple):
    """A file that is to be written, what it will hold, and what to call that."""

    file: Path
    content: str | bytes
    what: str = "picture"


def see_names(*options: tuple[str, Path | None, str]) -> None:
    """See that files can be what they are called, before any work is done for them: of each the option, the file, and its suffix.

    Raises MmlocksError where a name promises another format, and where two options name one file.
    """
    taken: dict[Path, str] = {}
    for option, file, suffix in options:
        if file is None:
            continue
        theirs = file.suffix.lower()
        if theirs in FORMATS - {suffix}:
            raise MmlocksError(
                f"{option} {file}: no program would read that, since its name says {theirs} and it would hold {suffix[1:].upper()}. "
                f"Choose a name that ends in {suffix}."
            )
        other = taken.setdefault(file.resolve(), option)
        if other != option:
            raise MmlocksError(
                f"{other} and {option} both name {file}. Each needs a file of its own."
            )


def save(targets: Sequence[Target]) -> None:
    """Write files beside their places, and move them there when all are written.

    So nobody ever sees half of one, and one that cannot be written keeps the others from being written. Raises MmlocksError then;
    files that were there are left as they were.
    """
    with ExitStack() as undone:
        written = []
        for target in targets:
            with _told(target):
                written.append((target, *_written(target, undone)))
        for target, beside, place in written:
            with _told(target):
                beside.replace(place)


@contextmanager
def _told(target: Target) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise MmlocksError(
            f"the {target.what} cannot be written to {target.file}: {problem.strerror or problem}."
        ) from None


def _written(target: Target, undone: ExitStack) -> tuple[Path, Path]:
    """The content in a file beside its place, which is removed in the end if it is still there; and the place."""
    file, content, what = target
    if file.is_dir():
        raise MmlocksError(
            f"{file} is a folder. Name the file in it that the {what} is to be written to."
        )
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
    with beside.open("xb") as stream:
        undone.callback(beside.unlink, missing_ok=True)
        stream.write(content.encode() if isinstance(content, str) else content)
    return beside, place
