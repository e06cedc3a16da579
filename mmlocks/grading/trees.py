"""The files of a folder or of a zip, seen in one way. Nothing is ever unpacked to the disk.

A file that must not be opened keeps its place in the list, with a sentence that says why. So one
student's file never stops another's.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path, PurePosixPath

from mmlocks.errors import GradingError

LARGEST_FILE = 10_000_000
"""Bytes of a file that is handed in."""
MOST_ENTRIES = 100_000
"""Files in what a teacher collects; a course of 500 has a few thousand."""
MOST_INNER_ENTRIES = 2_000
"""Files in a zip that a student hands in."""
MOST_UNPACKED = 100_000_000
"""Bytes that a student's zip may hold when all of it is unpacked."""
WORST_RATIO = 200
"""A file that grows more than that when unpacked is a zip bomb; a notebook grows 20-fold at most.

Small files are let through: they can do no harm.
"""
SMALL = 1_000_000
LONGEST_NAME = 1_000
IGNORED = {".git", ".ipynb_checkpoints", "__MACOSX", "__pycache__", ".venv", "venv", ".DS_Store"}


@dataclass(frozen=True)
class Spot:
    """Where a file's bytes are: a path, and for each zip around it the entry's offset in it."""

    path: Path
    offsets: tuple[int, ...] = ()

    def read(self) -> bytes:
        """The bytes. Raises GradingError, a sentence without the file's name, if they are bad."""
        try:
            if not self.offsets:
                with self.path.open("rb") as stream:
                    return _limited(stream.read(LARGEST_FILE + 1))
            found = self.path.stat()
            opened = _opened(self.path, os.getpid(), found.st_mtime_ns, found.st_size)
            content = _read(*opened, self.offsets[0])
            for offset in self.offsets[1:]:
                with zipfile.ZipFile(io.BytesIO(content)) as archive:
                    content = _read(archive, _by_offset(archive), offset)
            return content
        except BAD_ZIP as problem:
            raise GradingError(f"it cannot be unpacked: {_why(problem)}.") from None
        except OSError as problem:
            raise GradingError(f"it cannot be read: {problem.strerror or problem}.") from None


BAD_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    KeyError,
    struct.error,
    OverflowError,
)
"""What Python's zipfile raises where a zip is damaged, encrypted, or of an unknown kind."""


@dataclass(frozen=True)
class Entry:
    """A file: its path in the tree, its spot, when it was changed, and why it cannot be read."""

    path: PurePosixPath
    spot: Spot
    changed: datetime | None
    problem: str = ""


def entries_of(place: Path) -> list[Entry]:
    """All files under a folder or in a zip, sorted by path, without what tools leave behind.

    Raises GradingError if the place itself cannot be used.
    """
    if place.is_dir():
        found = list(_in_folder(place))
    elif place.is_file():
        try:
            with zipfile.ZipFile(place) as archive:
                found = list(_in_zip(archive, Spot(place), MOST_ENTRIES))
        except BAD_ZIP as problem:
            raise GradingError(
                f"{place} is not a zip that can be read: {_why(problem)}. Download it again, or "
                "name the folder that it was unpacked to."
            ) from None
        except OSError as problem:
            raise GradingError(f"{place} cannot be read: {problem.strerror or problem}.") from None
    else:
        raise GradingError(f"there is no folder or zip {place}. Look at its name.")
    if len(found) > MOST_ENTRIES:
        raise GradingError(f"{place} has more than {MOST_ENTRIES:,} files. Is it the right folder?")
    return sorted(found, key=lambda entry: entry.path)


def entries_inside(entry: Entry) -> list[Entry]:
    """The files of a zip that a student handed in. Raises GradingError, if it is bad."""
    content = entry.spot.read()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            infos = archive.infolist()
            if len(infos) > MOST_INNER_ENTRIES:
                raise GradingError(
                    f"it has {len(infos):,} files in it, and a zip may have at most "
                    f"{MOST_INNER_ENTRIES:,}."
                )
            unpacked = sum(info.file_size for info in infos)
            if unpacked > MOST_UNPACKED:
                raise GradingError(
                    f"it would unpack to {unpacked:,} bytes, and a zip may hold at most "
                    f"{MOST_UNPACKED:,}: a zip bomb is refused."
                )
            found = list(_in_zip(archive, entry.spot, MOST_INNER_ENTRIES))
    except BAD_ZIP as problem:
        raise GradingError(f"it cannot be unpacked: {_why(problem)}.") from None
    return sorted(found, key=lambda each: each.path)


def _in_folder(place: Path) -> Iterator[Entry]:
    seen = 0
    for folder, folders, files in os.walk(place):
        for name in list(folders):
            if name in IGNORED:
                folders.remove(name)
            elif (Path(folder) / name).is_symlink():
                folders.remove(name)
                files.append(name)
        for name in files:
            if name in IGNORED:
                continue
            seen += 1
            if seen > MOST_ENTRIES:
                raise GradingError(
                    f"{place} has more than {MOST_ENTRIES:,} files. Is it the right folder?"
                )
            path = Path(folder) / name
            yield Entry(
                PurePosixPath(_told(path.relative_to(place).as_posix())),
                Spot(path),
                *_seen(path),
            )


def _seen(path: Path) -> tuple[datetime | None, str]:
    """When a file was changed, and why it must not be opened."""
    try:
        found = path.lstat()
    except OSError as problem:
        return None, f"it cannot be read: {problem.strerror or problem}."
    changed = datetime.fromtimestamp(found.st_mtime, UTC)
    if stat.S_ISLNK(found.st_mode):
        return changed, "it is a link to another place, and links are not followed."
    if not stat.S_ISREG(found.st_mode):
        return changed, "it is not an ordinary file."
    if found.st_size > LARGEST_FILE:
        return changed, _too_large(found.st_size)
    return changed, ""


def _in_zip(archive: zipfile.ZipFile, spot: Spot, most: int) -> Iterator[Entry]:
    infos = archive.infolist()
    if len(infos) > most:
        raise GradingError(f"{spot.path} has more than {most:,} files. Is it the right zip?")
    for info in infos:
        path = PurePosixPath(_told(info.filename.replace("\\", "/")))
        if info.is_dir() or set(path.parts) & IGNORED:
            continue
        yield Entry(
            path,
            Spot(spot.path, (*spot.offsets, info.header_offset)),
            _changed(info),
            _refused(info),
        )


def _refused(info: zipfile.ZipInfo) -> str:
    """Why an entry of a zip must not be opened; the empty text if it may be."""
    name = info.filename.replace("\\", "/")
    if len(name) > LONGEST_NAME:
        return f"its name has {len(name):,} letters."
    if name.startswith("/") or ".." in name.split("/") or name[1:2] == ":":
        return "its name leads out of the zip, and such names are refused."
    if any(ord(letter) < 32 for letter in name):
        return "its name has control characters in it."
    if stat.S_ISLNK(info.external_attr >> 16):
        return "it is a link to another place, and links are not followed."
    if info.flag_bits & 1:
        return "it is encrypted. Ask for it without a password."
    if info.file_size > LARGEST_FILE:
        return _too_large(info.file_size)
    if info.file_size > SMALL and info.file_size > WORST_RATIO * max(1, info.compress_size):
        return (
            f"it grows from {info.compress_size:,} to {info.file_size:,} bytes when it is "
            "unpacked: a zip bomb is refused."
        )
    return ""


@lru_cache(maxsize=1)
def _opened(
    path: Path, _process: int, _changed: int, _size: int
) -> tuple[zipfile.ZipFile, dict[int, zipfile.ZipInfo]]:
    """A zip that stays open, since to read its list anew for each of 1,000 files takes minutes.

    Each process opens its own: processes that share an open file share the place in it as well.
    """
    archive = zipfile.ZipFile(path)
    return archive, _by_offset(archive)


def _by_offset(archive: zipfile.ZipFile) -> dict[int, zipfile.ZipInfo]:
    return {info.header_offset: info for info in archive.infolist()}


def _read(archive: zipfile.ZipFile, infos: dict[int, zipfile.ZipInfo], offset: int) -> bytes:
    info = infos.get(offset)
    if info is None:
        raise GradingError("it is not in the zip any more.")
    if problem := _refused(info):
        raise GradingError(problem)
    with archive.open(info) as stream:
        # What the zip says of its size may be a lie, so the limit holds here as well.
        return _limited(stream.read(LARGEST_FILE + 1))


def _limited(content: bytes) -> bytes:
    if len(content) > LARGEST_FILE:
        raise GradingError(_too_large(len(content)))
    return content


def _too_large(size: int) -> str:
    return (
        f"it has {size:,} bytes or more, and at most {LARGEST_FILE:,} are read. Outputs and "
        "pictures make a notebook large: clear them and hand it in again."
    )


def _changed(info: zipfile.ZipInfo) -> datetime | None:
    """When an entry was changed: in UTC if the zip says so, else the local time of this machine.

    The extra field 0x5455 is Info-ZIP's "extended timestamp" (its appnote, from memory).
    """
    extra = info.extra
    while len(extra) >= 4:
        kind, size = struct.unpack("<HH", extra[:4])
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == 0x5455 and len(field) >= 5 and field[0] & 1:
            return datetime.fromtimestamp(struct.unpack("<i", field[1:5])[0], UTC)
    try:
        return datetime(*info.date_time).astimezone()
    except (ValueError, OverflowError, OSError):
        return None


def _told(name: str) -> str:
    """A name that can be printed and written to UTF-8 files, whatever bytes it was made of."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _why(problem: Exception) -> str:
    if isinstance(problem, NotImplementedError):
        return "it is compressed in a way that is not known here"
    if isinstance(problem, RuntimeError) and "password" in str(problem):
        return "it is encrypted"
    return "it is damaged, or not a zip"
