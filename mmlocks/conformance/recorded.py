"""Recordings of a real kernel in files, so that the model can be compared with it anywhere.

A recording is JSON, compressed by gzip if its name ends in .gz (a reader ignores the name):

    {"format": "mmlocks recording", "version": 1,
     "kernel": "6.18.44",                        the kernel's version, without a vendor's suffix
     "start": {"limits": {"mmap_base": ...},     the fields of Limits
               "areas": [AREA, ...]},            what every process begins with
     "runs": [{"program": [OPERATION, ...],      as in mmlocks.conformance.program
               "seen": [SEEN, ...]}, ...]}       one for each operation

    AREA   [start, end, "rw-p", offset, file, "rd wr mr mw me ac"]
    SEEN   null for an operation that was left out, or
           [result, {process: [at, gone, [AREA, ...]]}, {process: {page: [word, word]}}]

Areas are kept as differences to the list after the operation before: `gone` areas from number `at`
on are replaced by the given ones. Only words that changed are kept, and only processes in which
something changed. The keys of JSON objects are decimal numbers, as texts.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from mmlocks.conformance.compare import LEFT_OUT, Observation, Start, Words, same_ends
from mmlocks.conformance.program import Program, from_json, to_json
from mmlocks.conformance.rules import version_of
from mmlocks.errors import HostError
from mmlocks.mm.address import Limits
from mmlocks.mm.area import Area

FORMAT = "mmlocks recording"
VERSION = 1
LARGEST = 256 << 20
"""Bytes of a recording, uncompressed. Ten thousand programs take a fifth of that."""


class Run(NamedTuple):
    """A program, and the observations of its operations."""

    program: Program
    seen: tuple[Observation, ...]


class Recording(NamedTuple):
    """The content of a recording.

    `kernel` is a version such as 6.18.44, from which its layout rules follow
    (mmlocks.conformance.rules).
    """

    kernel: str
    start: Start
    runs: tuple[Run, ...]


def save(file: Path, recording: Recording) -> None:
    """Write a recording, whole or not at all. Raises HostError if the file cannot be written."""
    check_place(file)
    text = json.dumps(recording_json(recording), separators=(",", ":")).encode()
    # Without a time in it, equal recordings are equal files.
    content = gzip.compress(text, mtime=0) if file.suffix == ".gz" else text + b"\n"
    place = file.resolve()  # a link stays a link
    beside = place.with_name(f".{place.name[:100]}.{os.getpid()}.tmp")
    try:
        with beside.open("xb") as stream:
            stream.write(content)
        beside.replace(place)
    except OSError as problem:
        raise HostError(
            f"the recording cannot be written to {file}: {problem.strerror or problem}."
        ) from None
    finally:
        beside.unlink(missing_ok=True)


def check_place(file: Path) -> None:
    """Raise HostError if a recording cannot be written there, as far as one can tell beforehand."""
    if file.is_dir():
        raise HostError(f"{file} is a folder. Name a file in it for the recording.")
    if file.exists() and not file.is_file():
        raise HostError(
            f"{file} is not an ordinary file, so it is not replaced. Choose another name for the "
            "recording."
        )
    if not file.resolve().parent.is_dir():
        raise HostError(
            f"there is no folder {file.resolve().parent} to write {file.name} in. Make it first, "
            "or choose another."
        )


def load(file: Path) -> Recording:
    """Read a recording.

    Raises HostError, saying what is wrong and where, if it is missing or damaged.
    """
    if file.exists() and not file.is_file():
        raise HostError(
            f"{file} is not an ordinary file. Name a recording, as `mmlocks host record FILE` "
            "makes one."
        )
    try:
        with file.open("rb") as stream:
            content = _unpacked(stream.read(LARGEST + 1), file)
        return recording_from_json(json.loads(content), str(file))
    except FileNotFoundError:
        raise HostError(
            f"there is no file {file}. To make one: mmlocks host record {file}"
        ) from None
    except OSError as problem:
        raise HostError(f"{file} cannot be read: {problem.strerror or problem}.") from None
    except (ValueError, RecursionError):
        raise HostError(
            f"{file} is not a recording: it holds no JSON, or not all of it. Was it copied whole?"
        ) from None


def _unpacked(content: bytes, file: Path) -> bytes:
    if content[:2] == b"\x1f\x8b":
        unpack = zlib.decompressobj(wbits=31)
        try:
            content = unpack.decompress(content, LARGEST + 1)
        except zlib.error:
            raise HostError(
                f"{file} is damaged: gzip cannot unpack it. Copy or record it again."
            ) from None
        if not unpack.eof and len(content) <= LARGEST:
            raise HostError(f"{file} is cut off. Copy or record it again.")
    if len(content) > LARGEST:
        raise HostError(f"{file} holds more than {LARGEST >> 20} MiB, which no recording does.")
    return content


# -- to JSON ---------------------------------------------------------------------------------------


def recording_json(recording: Recording) -> dict[str, Any]:
    """A recording in the form described above."""
    start = recording.start
    return {
        "format": FORMAT,
        "version": VERSION,
        "kernel": recording.kernel,
        "start": {"limits": start.limits._asdict(), "areas": list(map(_area_json, start.areas))},
        "runs": [
            {"program": to_json(run.program), "seen": list(_seen_json(run.seen))}
            for run in recording.runs
        ],
    }


def _seen_json(seen: tuple[Observation, ...]) -> Iterator[Any]:
    areas: dict[int, list[Area]] = {}
    words: dict[int, dict[int, Words]] = {}
    for one in seen:
        if not one.areas:
            yield None
            continue
        changed = {
            str(process): splice
            for process, now in one.areas.items()
            if (splice := _splice(areas.get(process, []), now)) is not None
        }
        new = {
            str(process): {
                str(page): both
                for page, both in now.items()
                if words.get(process, {}).get(page) != both
            }
            for process, now in one.words.items()
        }
        areas, words = one.areas, one.words
        yield [one.result, changed, {process: pages for process, pages in new.items() if pages}]


def _splice(before: list[Area], after: list[Area]) -> list[Any] | None:
    """What makes `after` of `before`: [at, gone, areas], or None if they are equal."""
    if before == after:
        return None
    at, end = same_ends(before, after)
    return [at, len(before) - end - at, list(map(_area_json, after[at : len(after) - end]))]


def _area_json(area: Area) -> list[Any]:
    return [
        area.start,
        area.end,
        area.perms,
        area.offset,
        area.file,
        " ".join(sorted(area.flags or ())),
    ]


# -- from JSON -------------------------------------------------------------------------------------


def recording_from_json(value: Any, where: str) -> Recording:
    """The recording that `recording_json` wrote.

    Raises HostError, naming `where`, for anything else.
    """
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise HostError(
            f"{where} is not a recording of a kernel. `mmlocks host record FILE` makes one."
        )
    if value.get("version") != VERSION:
        raise HostError(
            f"{where} is a recording of version {value.get('version')!r}, and this mmlocks reads "
            f"version {VERSION}. Record it again, or use the mmlocks that made it."
        )
    with _expected(where):
        start = Start(Limits(**value["start"]["limits"]), _areas(value["start"]["areas"]))
        kernel, runs = str(value["kernel"]), list(value["runs"])
        if not all(type(number) is int for number in start.limits):
            raise TypeError("a limit that is not a whole number")
    try:
        version_of(kernel)
    except HostError as problem:
        raise HostError(f"{where} is damaged: {problem}") from None
    return Recording(
        kernel, start, tuple(_run(run, f"{where}, run {number}") for number, run in enumerate(runs))
    )


@contextmanager
def _expected(where: str) -> Iterator[None]:
    """Turns the exceptions that values of unexpected shapes cause into one clear error."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as problem:
        what = f"{type(problem).__name__}: {problem}" if str(problem) else type(problem).__name__
        raise HostError(f"{where} is damaged ({what}). Copy or record it again.") from None


def _run(value: Any, where: str) -> Run:
    with _expected(where):
        program, seen = from_json(value["program"], where), list(value["seen"])
        if len(program) != len(seen):
            raise ValueError(f"{len(program)} operations, and {len(seen)} of them seen")
    return Run(program, tuple(_seen(seen, where)))


def _seen(seen: list[Any], where: str) -> Iterator[Observation]:
    areas: dict[int, list[Area]] = {}
    words: dict[int, dict[int, Words]] = {}
    for number, one in enumerate(seen):
        if one is None:
            yield LEFT_OUT
            continue
        with _expected(f"{where}, operation {number}"):
            result, changed, new = one
            if result is not None and type(result) is not int:
                raise TypeError(f"{result!r} is not a result")
            areas, words = dict(areas), {process: dict(pages) for process, pages in words.items()}
            for process, (at, gone, with_these) in changed.items():
                now = list(areas.get(int(process), ()))
                if not 0 <= at <= at + gone <= len(now):
                    raise IndexError(f"areas {at} to {at + gone} of {len(now)} are replaced")
                now[at : at + gone] = _areas(with_these)
                areas[int(process)] = now
            for process, pages in new.items():
                for page, (first, second) in pages.items():
                    words.setdefault(int(process), {})[int(page)] = (first, second)
            observation = Observation((), result, areas, {one: words.get(one, {}) for one in areas})
        yield observation


def _areas(value: list[Any]) -> tuple[Area, ...]:
    return tuple(map(_area, value))


def _area(value: list[Any]) -> Area:
    start, end, perms, offset, file, flags = value
    if not (type(start) is type(end) is type(offset) is int and start < end):
        raise ValueError(f"an area from {start!r} to {end!r}")
    if not (
        isinstance(perms, str)
        and re.fullmatch(r"[r-][w-][x-][ps]", perms)
        and isinstance(file, str)
    ):
        raise ValueError(f"an area with permissions {perms!r} of {file!r}")
    return Area(start, end, perms, offset, file, frozenset(flags.split()))
