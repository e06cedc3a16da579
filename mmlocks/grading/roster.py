"""Who is in the course: roster.csv, and one student as far as a file tells.

The columns are id, login, email and name. Other usual names of them will do as well, so that a
class list, or a gradebook that was exported, can be the roster.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from mmlocks.errors import GradingError
from mmlocks.grading.tables import Table, read_table

NAMES = {
    "id": (
        "id",
        "studentid",
        "idnumber",
        "sisuserid",
        "integrationid",
        "identifier",
        "number",
        "studentnumber",
        "matriculationnumber",
        "matrikelnummer",
        "idnummer",
    ),
    "login": (
        "login",
        "username",
        "user",
        "sisloginid",
        "loginid",
        "githubusername",
        "github",
        "netid",
        "anmeldename",
        "benutzername",
    ),
    "email": ("email", "emailaddress", "mail", "emailadresse", "mailadresse"),
    "name": ("name", "fullname", "student", "studentname", "vollstandigername"),
    "first": ("firstname", "givenname", "vorname", "first"),
    "last": ("lastname", "surname", "familyname", "nachname", "last"),
}
"""What a column may be called, in letters and digits alone.

Canvas's and Moodle's names are those of canvas-lms `lib/gradebook_exporter.rb` and of Moodle's
`mod/assign/gradingtable.php`, English and German. The others are from memory.
"""


@dataclass(frozen=True)
class Student:
    """A student as far as known: the empty text means that it is not known.

    `id` comes first in every comparison. `others` are further ids of the same student, as a
    gradebook has one of the university and one of its own.
    """

    id: str = ""
    login: str = ""
    email: str = ""
    name: str = ""
    others: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What to call the student in a sentence."""
        known = self.login or self.id or self.email
        return f"{self.name} ({known})" if self.name and known else self.name or known or "unknown"

    @property
    def key(self) -> str:
        """The text that tells this student from others of the same source."""
        return self.id or self.login.casefold() or self.email.casefold() or plain(self.name)

    @property
    def ids(self) -> tuple[str, ...]:
        """All ids that are known."""
        return tuple(dict.fromkeys(filter(None, (self.id, *self.others))))

    def answers_to(self, text: str) -> bool:
        """Whether a teacher may mean this student by that text: an id, a login or an e-mail."""
        text = text.strip()
        return bool(text) and (
            text in self.ids
            or text.casefold() in {self.login.casefold(), self.email.casefold()} - {""}
        )


@dataclass(frozen=True)
class Roster:
    """The students of a course, in the order of the file."""

    students: tuple[Student, ...]

    def find(self, who: Student) -> Student | None:
        """The student that is meant: by id, then login, then e-mail, then the name.

        A name counts only if one student alone has it.
        """
        for ours, theirs in (
            (set(who.ids), lambda one: set(one.ids)),
            ({who.login.casefold()}, lambda one: {one.login.casefold()}),
            ({who.email.casefold()}, lambda one: {one.email.casefold()}),
            ({plain(who.name)}, lambda one: {plain(one.name)}),
        ):
            found = [one for one in self.students if (ours & theirs(one)) - {""}]
            if len(found) == 1:
                return found[0]
        return None

    def completed(self, who: Student) -> Student:
        """The student with all that the roster knows. The id that an LMS gave stays first."""
        known = self.find(who)
        if known is None:
            return who
        ids = dict.fromkeys((*who.ids, *known.ids))
        first = who.id or known.id
        return replace(
            who,
            id=first,
            login=known.login or who.login,
            email=known.email or who.email,
            name=known.name or who.name,
            others=tuple(one for one in ids if one != first),
        )

    def absent(self, present: Iterable[Student]) -> tuple[Student, ...]:
        """The students of whom nothing came."""
        found = {id(self.find(one)) for one in present}
        return tuple(one for one in self.students if id(one) not in found)


def read_roster(path: Path) -> Roster:
    """Read roster.csv. Raises GradingError, which says file and line, where it is wrong."""
    table = read_table(path)
    columns = columns_of(table)
    if not set(columns) & {"id", "login", "email"}:
        raise GradingError(
            f"{table.name}, line 1: no column is called id, login or email. Its columns are "
            f"{', '.join(filter(None, table.header))}. Rename one of them."
        )
    students: list[Student] = []
    seen: dict[tuple[str, str], int] = {}
    for row in range(1, len(table.rows)):
        if not any(cell.text.strip() for cell in table.rows[row]):
            continue
        student = student_of(table, row, columns)
        if "points possible" in student.name.casefold() or student.name == "Student, Test":
            continue  # a gradebook is the roster
        if not student.ids and not student.login and not student.email:
            raise GradingError(
                f"{table.where(row)}: neither an id nor a login nor an e-mail stands there. "
                "Write one of them, or delete the line."
            )
        keys = [("id", one) for one in student.ids]
        keys += [("login", student.login.casefold()), ("email", student.email.casefold())]
        for kind, key in keys:
            if not key:
                continue
            if (kind, key) in seen:
                raise GradingError(
                    f"{table.where(row)}: the {kind} {key} stands in line {seen[kind, key]} as "
                    "well. Each student needs one line. Delete one of them."
                )
            seen[kind, key] = table.line(row)
        students.append(student)
    if not students:
        raise GradingError(f"{table.name} names no student.")
    return Roster(tuple(students))


def columns_of(table: Table) -> dict[str, list[int]]:
    """Which columns hold a student's id (there may be several), login, email and name."""
    found: dict[str, list[int]] = {}
    for number, title in enumerate(table.header):
        for kind, names in NAMES.items():
            if re.sub(r"[\W_]", "", plain(title)) in names:
                found.setdefault(kind, []).append(number)
    return found


def student_of(table: Table, row: int, columns: dict[str, list[int]]) -> Student:
    """The student of a row."""
    texts = {
        kind: [text for column in numbers if (text := table.value(row, column))]
        for kind, numbers in columns.items()
    }
    ids = texts.get("id", [])
    # Moodle's sheet says "Participant 123456", or that in another language; its folders, 123456.
    ids += [found[1] for one in ids if (found := re.fullmatch(r"\D{5,}?(\d+)", one))]
    name = " ".join(texts.get("name", [])[:1])
    if not name:
        name = " ".join([*texts.get("first", [])[:1], *texts.get("last", [])[:1]])
    return Student(
        id=ids[0] if ids else "",
        login=" ".join(texts.get("login", [])[:1]),
        email=" ".join(texts.get("email", [])[:1]),
        name=name,
        others=tuple(dict.fromkeys(ids[1:])),
    )


def plain(name: str) -> str:
    """A name for comparison: no case, no accents, and `Doe, Jane` like `Jane Doe`."""
    last, comma, first = name.partition(",")
    text = f"{first} {last}" if comma else name
    text = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(one for one in text if not unicodedata.combining(one)).split())
