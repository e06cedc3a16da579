"""What the paths of a download say: whose file it is, what it was called, and what is not said.

Canvas's names are from canvas-lms `lib/content_zipper.rb`: name, `LATE` if it was late, the user's
number, the file's number, the file's name. Moodle's are from `mod/assign/classes/downloader.php`
(a folder for each student; files alone if the teacher chose that), nbgrader's from its user guide.
Both LMS write into a zip what they stream at that moment, without the time of handing in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePosixPath

from mmlocks.errors import GradingError
from mmlocks.grading.roster import Roster, Student

CANVAS = re.compile(r"(?P<name>.+?)_(?P<late>LATE_)?(?P<user>\d+)_(?P<number>\d+)_(?P<file>.+)")
CANVAS_ANONYMOUS = re.compile(r"(?P<late>LATE_)?anon_(?P<anon>\w+?)_(?P<number>\d+)_(?P<file>.+)")
MOODLE = re.compile(
    r"(?P<name>.+)_(?P<user>\d+)_assignsubmission_(?P<kind>[a-z]+)(?:_(?P<file>.*))?"
)


@dataclass(frozen=True)
class Claim:
    """What a path says. A file with a higher number was uploaded later; 0 if there is none.

    `late` is what the LMS says; None if it says nothing.
    """

    student: Student
    file: PurePosixPath
    number: int = 0
    late: bool | None = None


@dataclass(frozen=True)
class Layout:
    """How a download is arranged, and whether its files' times are when they were handed in."""

    name: str
    claim: Callable[[PurePosixPath], Claim | None]
    says_when: bool


def layout_of(
    place: Path, paths: Sequence[PurePosixPath], lab: str, roster: Roster | None
) -> Layout:
    """Recognise a download by its paths. Raises GradingError if nothing in it fits."""
    if any(_moodle(path) for path in paths):
        return Layout("a Moodle download", _moodle, says_when=False)
    if 2 * sum(_canvas(path) is not None for path in paths) > len(paths):
        return Layout("a Canvas download", _canvas, says_when=False)
    tree = _nbgrader(place, paths, lab)
    if tree is not None:
        return tree
    depth = _depth(paths)
    if any(len(path.parts) > depth + 1 for path in paths):
        return _folders(place, paths, depth, lab, roster)
    if not paths:
        raise GradingError(f"{place} is empty. Name the folder or the zip with the submissions.")
    names = [path.stem for path in paths]

    def flat(path: PurePosixPath) -> Claim | None:
        return Claim(_named(path.stem, names, lab, roster), PurePosixPath(path.name))

    return Layout("a folder with a file for each student", flat, says_when=True)


def _canvas(path: PurePosixPath) -> Claim | None:
    found = CANVAS_ANONYMOUS.fullmatch(path.name) or CANVAS.fullmatch(path.name)
    if not found:
        return None
    said = found.groupdict()
    if "anon" in said:
        student = Student(id=f"anon_{said['anon']}")
    else:
        student = Student(id=said["user"], name=said["name"])
    file = PurePosixPath(said["file"])
    return Claim(student, file, int(said["number"]), said["late"] is not None)


def _moodle(path: PurePosixPath) -> Claim | None:
    for depth, part in enumerate(path.parts):
        found = MOODLE.fullmatch(part)
        if found:
            inside = PurePosixPath(*path.parts[depth + 1 :])
            if depth == len(path.parts) - 1:
                inside = PurePosixPath(found["file"] or "")
            student = Student(id=found["user"], name=found["name"])
            return Claim(student, inside)
    return None


def _nbgrader(place: Path, paths: Iterable[PurePosixPath], lab: str) -> Layout | None:
    """`submitted/STUDENT/ASSIGNMENT/NOTEBOOK.ipynb`, or what is in that folder."""
    here = 0 if place.name == "submitted" else None
    assignments: set[str] = set()

    def split(path: PurePosixPath) -> tuple[str, str, PurePosixPath] | None:
        parts = path.parts
        start = here
        if "submitted" in parts:
            start = parts.index("submitted") + 1
        if start is None or len(parts) < start + 3:
            return None
        return parts[start], parts[start + 1], PurePosixPath(*parts[start + 2 :])

    for path in paths:
        if found := split(path):
            assignments.add(found[1])
    if not assignments:
        return None
    chosen = assignments
    if len(assignments) > 1:
        chosen = {name for name in assignments if mentions(name, lab)}
    if len(chosen) != 1:
        raise GradingError(
            f"{place} holds the assignments {', '.join(sorted(assignments))}, and which of them "
            f"is {lab or 'meant'} cannot be told. Give a folder with that one alone."
        )

    def claim(path: PurePosixPath) -> Claim | None:
        found = split(path)
        if not found or found[1] not in chosen:
            return None
        return Claim(Student(id=found[0]), found[2])

    return Layout("nbgrader's submitted/ tree", claim, says_when=True)


def _depth(paths: Sequence[PurePosixPath]) -> int:
    """How many folders hold all the students: a zip often has one around everything."""
    tops = {path.parts[0] for path in paths if len(path.parts) > 1}
    if len(tops) != 1 or any(len(path.parts) == 1 for path in paths):
        return 0
    second = {path.parts[1] for path in paths if len(path.parts) > 2}
    return 1 if len(second) > 1 and all(len(path.parts) > 2 for path in paths) else 0


def _folders(
    place: Path, paths: Iterable[PurePosixPath], depth: int, lab: str, roster: Roster | None
) -> Layout:
    """A folder for each student, as when each of them has a repository."""
    tops = sorted({path.parts[depth] for path in paths if len(path.parts) > depth + 1})
    roots = [place.joinpath(*path.parts[:depth], path.parts[depth]) for path in paths]
    cloned = any((root / ".git").exists() for root in set(roots))

    def claim(path: PurePosixPath) -> Claim | None:
        if len(path.parts) <= depth + 1:
            return None
        student = _named(path.parts[depth], tops, lab, roster)
        return Claim(student, PurePosixPath(*path.parts[depth + 1 :]))

    # The files of a clone have the time at which it was cloned.
    name = "a repository for each student" if cloned else "a folder for each student"
    return Layout(name, claim, says_when=not cloned)


def _named(text: str, all_of_them: Sequence[str], lab: str, roster: Roster | None) -> Student:
    """The student that a folder or a file is named for: `alice`, or `lab07-alice`."""
    if roster is not None:
        for one in roster.students:
            if one.answers_to(text):
                return one
        ends = [
            one
            for one in roster.students
            for key in (one.login, *one.ids)
            if key and re.fullmatch(rf"(.*[-_. ])?{re.escape(key)}([-_. ].*)?", text, re.I)
        ]
        if len({one.key for one in ends}) == 1:
            return ends[0]
    common = ""
    if len(all_of_them) > 1:
        pairs = zip(min(all_of_them), max(all_of_them), strict=False)
        common = "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    common = common[: max(common.rfind("-"), common.rfind("_")) + 1]
    if common and lab and mentions(common, lab):
        return Student(login=text[len(common) :])
    return Student(login=text)


def mentions(name: str, lab: str) -> bool:
    """Whether a name speaks of a lab: `lab07`, `Lab 7` and `lab-07` do so of lab07."""
    found = re.match(r"([a-z]+)0*(\d+)", lab.casefold())
    if not found:
        return bool(lab) and lab.casefold() in name.casefold()
    return bool(re.search(rf"{found[1]}[-_. ]*0*{found[2]}(?!\d)", name.casefold()))
