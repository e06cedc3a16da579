"""Who handed in what: the newest notebook of each student, or a sentence why there is none.

Problems are values. None of them stops the others.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mmlocks.errors import GradingError
from mmlocks.grading.layouts import Claim, Layout, layout_of, mentions
from mmlocks.grading.roster import Roster, Student
from mmlocks.grading.trees import Entry, Spot, entries_inside, entries_of
from mmlocks.sentences import counted

NOTEBOOKS = (".ipynb", ".ipynb.txt", ".ipynb.json")
"""Browsers add the second ending, and some file managers the third."""
COPY = re.compile(r"(?P<base>.+?)(?:[-_]|\s*\()(?P<number>\d{1,3})\)?")
"""`lab07-1` and `lab07 (1)`: what Canvas and browsers call a further file of the same name."""
TIMESTAMP = "timestamp.txt"
SHOWN = 5


@dataclass(frozen=True)
class Submission:
    """What one student handed in.

    `problem` is empty if the file can be judged. `submitted` is None if it is not known; `late` is
    what the LMS says. `attempt` counts from 1.
    """

    student: Student
    file: str
    spot: Spot | None
    sha256: str = ""
    submitted: datetime | None = None
    late: bool | None = None
    attempt: int = 1
    problem: str = ""
    notes: tuple[str, ...] = ()

    def read(self) -> bytes:
        """The bytes of the file, read anew. Raises GradingError if that cannot be done."""
        if self.spot is None or self.problem:
            raise GradingError(self.problem or f"{self.student.label} handed in nothing.")
        return self.spot.read()


@dataclass(frozen=True)
class Collection:
    """All submissions, sorted by student; how they were arranged; and what belongs to none."""

    kind: str
    submissions: tuple[Submission, ...]
    notes: tuple[str, ...] = ()


def collect(place: Path, lab: str = "", roster: Roster | None = None) -> Collection:
    """Collect what was handed in for a lab from a folder, a zip or a download of an LMS.

    Raises GradingError if the place cannot be read at all, or holds nothing that looks like
    submissions. All that concerns one student alone is in that student's `problem`.
    """
    entries = [each for each in entries_of(place) if _matters(each)]
    layout = layout_of(place, [entry.path for entry in entries], lab, roster)
    groups: dict[str, list[tuple[Claim, Entry]]] = {}
    strays = []
    for entry in entries:
        claim = layout.claim(entry.path)
        if claim is None:
            strays.append(entry)
            continue
        student = roster.completed(claim.student) if roster is not None else claim.student
        groups.setdefault(student.key, []).append((replace(claim, student=student), entry))
    found = [_submission(files, layout, lab) for files in groups.values()]
    notes = []
    named = [str(entry.path) for entry in strays if _is_notebook(entry.path)]
    if named:
        notes.append(f"The path does not say whose file it is: {_some(named)}.")
    if not layout.says_when:
        notes.append(
            f"{layout.name[0].upper()}{layout.name[1:]} does not say when a file was handed in. "
            "Where that matters, write it into the file of extensions."
        )
    return Collection(
        layout.name,
        tuple(sorted(found, key=lambda each: (each.student.name.casefold(), each.student.key))),
        tuple(notes),
    )


def _matters(entry: Entry) -> bool:
    """Whether a file can tell that a student handed in something. Hidden files cannot."""
    return not entry.path.name.startswith("._") and entry.path.name != "Thumbs.db"


def _is_notebook(path: PurePosixPath) -> bool:
    return path.name.casefold().endswith(NOTEBOOKS)


def _submission(files: Sequence[tuple[Claim, Entry]], layout: Layout, lab: str) -> Submission:
    student = files[0][0].student
    bare = Submission(student, "", None, late=files[0][0].late)
    try:
        candidates = _candidates(files)
        attempts = _attempts(candidates, layout, lab)
        claim, entry = attempts[-1]
        found = replace(bare, file=str(claim.file), late=claim.late, attempt=len(attempts))
        found = replace(found, submitted=_when(files, entry, layout))
        if len(attempts) > 1:
            older = _some([str(claim.file) for claim, _ in attempts[:-1]])
            note = (
                f"{len(attempts)} attempts: {claim.file} is the newest, and it counts; not {older}."
            )
            found = replace(found, notes=(note,))
        bare = found
        if entry.problem:
            raise GradingError(f"{claim.file}: {entry.problem}")
        try:
            content = entry.spot.read()
        except GradingError as problem:
            raise GradingError(f"{claim.file}: {problem}") from None
        if not content.strip():
            raise GradingError(f"{claim.file}: it is empty.")
        return replace(found, spot=entry.spot, sha256=hashlib.sha256(content).hexdigest())
    except GradingError as problem:
        return replace(bare, problem=f"{student.label}: {problem}")


def _candidates(files: Sequence[tuple[Claim, Entry]]) -> list[tuple[Claim, Entry]]:
    """The notebooks of a student; else the .py files; else what is in the one zip."""
    for fits in (_is_notebook, lambda path: path.suffix.casefold() == ".py"):
        found = [(claim, entry) for claim, entry in files if fits(claim.file)]
        if found:
            return found
    zips = [each for each in files if each[0].file.suffix.casefold() == ".zip"]
    if len(zips) == 1:
        return _unzipped(*zips[0])
    if zips:
        raise GradingError(f"there are {len(zips)} zips and no notebook. Which of them counts?")
    names = _some([str(claim.file) for claim, _ in files])
    raise GradingError(f"no notebook was handed in, only {names}.")


def _unzipped(claim: Claim, entry: Entry) -> list[tuple[Claim, Entry]]:
    if entry.problem:
        raise GradingError(f"{claim.file}: {entry.problem}")
    try:
        inside = [each for each in entries_inside(entry) if _matters(each)]
    except GradingError as problem:
        raise GradingError(f"{claim.file}: {problem}") from None
    for fits in (_is_notebook, lambda path: path.suffix.casefold() == ".py"):
        found = [each for each in inside if fits(each.path)]
        if found:
            return [
                (replace(claim, file=claim.file / str(each.path).lstrip("/")), each)
                for each in found
            ]
    if any(each.path.suffix.casefold() == ".zip" for each in inside):
        raise GradingError(f"{claim.file}: a zip within a zip is not opened.")
    raise GradingError(f"{claim.file}: there is no notebook in it.")


def _attempts(
    candidates: Sequence[tuple[Claim, Entry]], layout: Layout, lab: str
) -> list[tuple[Claim, Entry]]:
    """The attempts at the one notebook that counts, oldest first."""
    groups: dict[tuple[PurePosixPath, str], list[tuple[int, Claim, Entry]]] = {}
    stems = {(claim.file.parent, _stem(claim.file)) for claim, _ in candidates}
    for claim, entry in candidates:
        stem = _stem(claim.file)
        number = 0
        copy = COPY.fullmatch(stem)
        if copy and (claim.file.parent, copy["base"]) in stems:
            stem, number = copy["base"], int(copy["number"])
        groups.setdefault((claim.file.parent, stem), []).append((number, claim, entry))
    keys = list(groups)
    if len(keys) > 1 and lab:
        keys = [key for key in keys if mentions(key[1], lab)] or keys
    if len(keys) > 1:
        names = _some([str(claim.file) for key in keys for _, claim, _ in groups[key]])
        raise GradingError(
            f"there are {counted(len(keys), 'notebook')}, and which of them counts cannot be "
            f"told: {names}."
        )

    def age(each: tuple[int, Claim, Entry]) -> tuple[int, float, int]:
        number, claim, entry = each
        timed = layout.says_when and entry.changed is not None
        return claim.number, entry.changed.timestamp() if timed and entry.changed else 0.0, number

    return [(claim, entry) for _, claim, entry in sorted(groups[keys[0]], key=age)]


def _stem(path: PurePosixPath) -> str:
    name = path.name
    for ending in sorted((*NOTEBOOKS, ".py"), key=len, reverse=True):
        if name.casefold().endswith(ending):
            return name[: -len(ending)]
    return name


def _when(files: Sequence[tuple[Claim, Entry]], chosen: Entry, layout: Layout) -> datetime | None:
    """When it was handed in: as nbgrader's timestamp.txt says, else the file's time."""
    for claim, entry in files:
        if claim.file == PurePosixPath(TIMESTAMP) and not entry.problem:
            found = timestamp(entry.spot.read().decode("utf-8", "replace"))
            if found is not None:
                return found
    return chosen.changed if layout.says_when else None


def timestamp(text: str) -> datetime | None:
    """The time in nbgrader's timestamp.txt: a date, a time and a zone; UTC if there is none.

    None if it cannot be read. The form is that of nbgrader's guide to late submissions.
    """
    day, _, rest = text.strip().partition(" ")
    clock, _, zone = rest.strip().partition(" ")
    try:
        when = datetime.fromisoformat(f"{day} {clock}".strip())
        if when.tzinfo is not None:
            return when
        zone = zone.strip()
        return when.replace(tzinfo=ZoneInfo(zone) if zone not in ("", "UTC") else UTC)
    except (ValueError, ZoneInfoNotFoundError, OSError):
        return None


def _some(names: Sequence[str]) -> str:
    """A few names, and how many more there are."""
    shown = ", ".join(names[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown
