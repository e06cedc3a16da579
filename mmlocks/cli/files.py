"""Writing pictures and other output to files: all files, each of them whole, or none."""

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
"""Endings that promise a format. `.txt`, or a name without an ending, promises none."""


class Target(NamedTuple):
    """A file to write, its content, and what messages call the content."""

    file: Path
    content: str | bytes
    what: str = "picture"


def see_names(*options: tuple[str, Path | None, str]) -> None:
    """Check the names of files before any work is done: each an option, its file, its suffix.

    Raises MmlocksError if a name promises another format, or if two options name one file.
    """
    taken: dict[Path, str] = {}
    for option, file, suffix in options:
        if file is None:
            continue
        theirs = file.suffix.lower()
        if theirs in FORMATS - {suffix}:
            raise MmlocksError(
                f"{option} {file}: the name ends in {theirs}, but the file would hold "
                f"{suffix[1:].upper()}. Choose a name that ends in {suffix}."
            )
        other = taken.setdefault(file.resolve(), option)
        if other != option:
            raise MmlocksError(
                f"{other} and {option} both name {file}. Each needs a file of its own."
            )


def save(targets: Sequence[Target]) -> None:
    """Write files beside their places, and move them there when all are written.

    So no reader finds half a file. If one file cannot be written, none is: this raises
    MmlocksError, and files that were there stay as they were.
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
    """Write the content to a temporary file beside its place; return both paths.

    `undone` removes the temporary file if it is still there at the end.
    """
    file, content, what = target
    if file.is_dir():
        raise MmlocksError(f"{file} is a folder. Name a file in it for the {what}.")
    if file.exists() and not file.is_file():
        raise MmlocksError(
            f"{file} is not an ordinary file, so it is not replaced. "
            f"Choose another name for the {what}."
        )
    place = file.resolve()  # a link stays a link
    if not place.parent.is_dir():
        raise MmlocksError(
            f"there is no folder {place.parent} to write {file.name} in. "
            "Make it first, or choose another."
        )
    beside = place.with_name(f".{place.name[:100]}.{os.getpid()}.tmp")
    with beside.open("xb") as stream:
        undone.callback(beside.unlink, missing_ok=True)
        stream.write(content.encode() if isinstance(content, str) else content)
    return beside, place
