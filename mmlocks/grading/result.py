"""The result of one submission: a JSON file, written whole or not at all, read only if sound.

`result.schema.json` beside this file is its published schema.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from mmlocks import __version__
from mmlocks.errors import GradingError
from mmlocks.grading.roster import Student
from mmlocks.grading.schema import offences

FORMAT, VERSION = "mmlocks result", 1
NOT_JUDGED = "NOT JUDGED"
"""The finding of a submission that could not be judged at all; `eye` says why."""
SCHEMA = Path(__file__).with_name("result.schema.json")
LARGEST = 100_000_000
"""Bytes of a result that is read; the automaton is its largest part."""


@dataclass(frozen=True)
class Checked:
    """What one check found: its points, its message, and the run that shows what is wrong."""

    name: str
    points: int
    max_points: int
    finding: str
    message: str = ""
    scenario: str | None = None
    kernel: str | None = None
    schedule: str | None = None


@dataclass(frozen=True)
class HandedIn:
    """The file that was judged. `submitted` and `late_seconds` are None if they are not known."""

    file: str
    sha256: str
    submitted: str | None = None
    attempt: int = 1
    late_seconds: int | None = 0


@dataclass(frozen=True)
class Result:
    """All that is known of one submission after it was judged."""

    lab: str
    student: Student
    submission: HandedIn
    isolation: str
    finding: str
    max_points: int
    checks: tuple[Checked, ...] = ()
    judged: str = ""
    behaves_like: str | None = None
    eye: tuple[str, ...] = ()
    automaton: dict[str, Any] | None = None
    hints: tuple[Any, ...] = ()
    nbval: dict[str, Any] | None = None
    graded: str = field(default="", compare=False)
    mmlocks: str = __version__

    @property
    def points(self) -> int:
        """The points that the judge gave, before adjustments and late policies."""
        return sum(check.points for check in self.checks)

    @property
    def key(self) -> str:
        """What a later run compares to know that this submission was judged already."""
        return key_of(self.submission.sha256, self.lab, self.mmlocks)

    def as_json(self) -> dict[str, Any]:
        """The value that the file holds."""
        value = asdict(self)
        value.update(format=FORMAT, version=VERSION, key=self.key, points=self.points)
        loaded: dict[str, Any] = json.loads(json.dumps(value))  # tuples become lists
        return loaded


def key_of(sha256: str, lab: str, version: str = __version__) -> str:
    """A hash of a submission's bytes (given by their own), the lab, and the release of mmlocks."""
    return hashlib.sha256("\0".join((sha256, lab, version)).encode()).hexdigest()


@cache
def schema() -> dict[str, Any]:
    """The published schema."""
    value: dict[str, Any] = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return value


def result_file(folder: Path, student: Student) -> Path:
    """Where a student's result stands in a folder of results: one file for each student."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", student.login or student.id or student.name).strip("-")
    mark = hashlib.sha256(student.key.encode("utf-8", "surrogateescape")).hexdigest()[:10]
    return folder / f"{words[:60]}-{mark}.json".lstrip("-")


def write_result(folder: Path, result: Result, now: datetime | None = None) -> Path:
    """Write a result. After a crash there is the old file or the new one, and no half of one.

    The bytes are the same for the same result, but for the field `graded`. Raises GradingError if
    the result breaks the schema or cannot be written.
    """
    value = result.as_json()
    value["graded"] = (now or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds")
    wrong = next(offences(value, schema(), schema()), "")
    if wrong:
        raise GradingError(f"the result of {result.student.label} cannot be written: {wrong}.")
    # The automaton is large, and no person reads it: it stands on one line, and comes first.
    automaton = json.dumps(value.pop("automaton"), sort_keys=True, separators=(",", ":"))
    text = json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False).removeprefix("{")
    text = f'{{\n "automaton": {automaton},{text}\n'
    path = result_file(folder, result.student)
    # Half of a surrogate pair, which UTF-8 has no bytes for, becomes its JSON escape.
    write_whole(path, text.encode("utf-8", "backslashreplace"))
    return path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a crash leaves the old one or the new one. Raises GradingError."""
    beside = path.with_name(f".{path.name[:100]}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the name as well is on the disk
        finally:
            os.close(folder)
    except OSError as problem:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise GradingError(f"{path} cannot be written: {problem.strerror or problem}.") from None


def read_result(path: Path) -> Result:
    """Read a result. Raises GradingError, which says what is wrong with the file."""
    again = "Judge that submission again."
    try:
        if path.stat().st_size > LARGEST:
            raise GradingError(f"{path} is larger than any result. {again}")
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise GradingError(f"{path} cannot be read: {problem.strerror or problem}.") from None
    except (ValueError, RecursionError):
        raise GradingError(f"{path} is not a whole JSON file. {again}") from None
    wrong = next(offences(value, schema(), schema()), "")
    if wrong:
        raise GradingError(f"{path} is not a {FORMAT}, version {VERSION}: {wrong}. {again}")
    fields = {name: value[name] for name in Result.__dataclass_fields__}
    fields["student"] = Student(**{**value["student"], "others": tuple(value["student"]["others"])})
    fields["submission"] = HandedIn(**value["submission"])
    fields["checks"] = tuple(Checked(**check) for check in value["checks"])
    fields["eye"], fields["hints"] = tuple(value["eye"]), tuple(value["hints"])
    result = Result(**fields)
    fits = all(check.points <= check.max_points for check in result.checks)
    if (value["key"], value["points"], True) != (result.key, result.points, fits):
        raise GradingError(f"{path}: its key or its points do not fit its other fields. {again}")
    return result


def finished(folder: Path, student: Student, sha256: str, lab: str) -> Result | None:
    """The result of just this submission by this release of mmlocks, if it was judged before."""
    try:
        result = read_result(result_file(folder, student))
    except GradingError:
        return None
    return result if result.key == key_of(sha256, lab) else None


def results_in(folder: Path) -> Iterator[Result]:
    """All results of a folder, by name of file. Raises GradingError at one that is not sound."""
    for path in sorted(folder.glob("*.json")):
        if not path.name.startswith("."):
            yield read_result(path)
