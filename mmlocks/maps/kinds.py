"""Kinds of areas (program, library, heap, stack, ...), and what is said about an area.

A fact follows from the line itself, by what the kernel's names mean (`names`). A guess has a
question mark: maps does not say it. `describe` finds out what each area is.
"""

from __future__ import annotations

from typing import NamedTuple

from mmlocks.maps.names import Origin, given_name, origin, shared, thread
from mmlocks.mm.area import Area


class AreaKind(NamedTuple):
    """A kind of area: its name, its letter for places with little room, and which areas it has."""

    name: str
    letter: str
    about: str


PROGRAM = AreaKind("program", "P", "the file that the process executes")
LIBRARY = AreaKind(
    "library", "L", "another file that is named like a library (.so), mapped privately"
)
FILE = AreaKind(
    "file", "F", "any other file: on a disk, or in memory if it is mapped privately; or a device"
)
HEAP = AreaKind("heap", "H", "[heap], which brk moves; malloc's first choice")
STACK = AreaKind(
    "stack", "S", "[stack], that of the first thread; other threads' where the kernel says so"
)
ANONYMOUS = AreaKind("anonymous", "A", "private memory that began as zeros")
SHARED = AreaKind("shared memory", "M", "memory that processes may share, without a file on a disk")
KERNEL = AreaKind(
    "kernel", "K", "the kernel's own: [vdso], [vvar], buffers of perf, io_uring, sockets, ..."
)
NO_ACCESS = AreaKind(
    "no access", "N", "a guard, addresses kept for later, a gap in a library: maps does not say"
)
KINDS = (PROGRAM, LIBRARY, FILE, HEAP, STACK, ANONYMOUS, SHARED, KERNEL, NO_ACCESS)

WORTH_SAYING = {
    "gd": "grows down",
    "lo": "locked in memory",
    "lf": "locked once touched",
    "dc": "not copied by fork",
    "wf": "zeros after fork",
    "dd": "not in core dumps",
    "ht": "huge pages only",
    "hg": "huge pages wanted",
    "nh": "no huge pages",
    "mg": "equal pages may be merged",
    "nr": "no swap set aside",
    "io": "marked as I/O memory",
    "um": "faults handled by userfaultfd",
    "uw": "stores watched by userfaultfd",
    "ui": "page cache watched by userfaultfd",
    "ss": "shadow stack",
    "sl": "sealed",
    "dp": "may be dropped",
    "gu": "may contain guard pages",
}
"""Flags that tell a learner something that the line of maps does not, in words."""


class Described(NamedTuple):
    """An area and what is said about it.

    `part` is which part of its kind it is ("code"), or what it is for. `name` is a name such as
    "/usr/bin/cat". `guessed` says that its kind is a guess. `growth` says how it grows, where its
    flags do not. All but the kind may be empty.
    """

    area: Area
    kind: AreaKind
    part: str = ""
    name: str = ""
    guessed: bool = False
    growth: str = ""

    @property
    def kind_name(self) -> str:
        """The name of its kind, with a question mark if that is a guess."""
        return f"{self.kind.name}?" if self.guessed else self.kind.name

    @property
    def label(self) -> str:
        """What its kind is called here: "library", "program?", "shared file"."""
        if self.kind is STACK and thread(self.area.file):
            return f"stack of thread {thread(self.area.file)}"
        if self.kind is not FILE:
            return self.kind_name
        source = origin(self.area)
        if source is Origin.DEVICE:
            return "device?"
        if source is Origin.SYSTEM:
            return "kernel's file"
        if source is not Origin.FILE:
            return "private memory"  # shared memory is another kind
        return "shared file" if shared(self.area) else "file"  # stores to a shared one reach it

    @property
    def lead(self) -> str:
        """The words before the name, such as "program code"."""
        return f"{self.label} {self.part}".rstrip() if self.kind is PROGRAM else self.label

    @property
    def is_guess(self) -> bool:
        """Whether anything that is said about it is a guess."""
        return self.label.endswith("?") or (
            self.part.endswith("?") and not given_name(self.area.file)
        )

    def words(self, room: int = 1 << 20, dots: str = "...") -> str:
        """All of it in at most `room` characters, such as "library /usr/lib/libc.so.6: code"."""
        lead, name = self.lead, visible(self.name)
        tail = f": {visible(self.part)}" if self.part and self.kind is not PROGRAM else ""
        if not name:
            bare = self.kind is NO_ACCESS and self.part and not given_name(self.area.file)
            return shorten(tail.removeprefix(": ") if bare else lead + tail, room, dots)
        left = room - len(lead) - 1
        # The name matters more: what is allowed there also shows which part it is.
        if len(base_name(name)) + len(tail) > left:
            tail = ""
        return f"{lead} {shorten(name, left - len(tail), dots)}{tail}"

    @property
    def remarks(self) -> list[str]:
        """What is worth saying beside its name, in words; most of it comes from flags."""
        if self.kind is KERNEL and self.area.file.startswith("["):
            return []  # the program did not choose them
        flags = self.area.flags or frozenset()
        if self.kind is NO_ACCESS:
            flags -= {"nr"}  # memory without access needs no swap, whatever was asked for
        if "lf" in flags:
            flags -= {"lo"}  # mlock2(MLOCK_ONFAULT) sets both, and locks what is touched later
        told = [words for flag, words in WORTH_SAYING.items() if flag in flags]
        return [self.growth, *told] if self.growth else told


def size_of(area: Area) -> int:
    """Bytes from start to end."""
    return area.end - area.start


def permissions(area: Area) -> str:
    """What the program may do there, in words."""
    words = ("read", "write", "exec")
    return (
        " ".join(word for word, sign in zip(words, area.perms, strict=False) if sign != "-")
        or "no access"
    )


def base_name(file: str) -> str:
    """The last part of a path."""
    return file.rpartition("/")[2] or file


def human(size: float) -> str:
    """A number of bytes, at most nine characters long: "4 KiB", "127.9 TiB"."""
    if size < 1000 << 10:
        return f"{size / 1024:.0f} KiB"
    for unit in ("MiB", "GiB", "TiB", "PiB"):
        size /= 1024
        if round(size / 1024, 1) < 1000:
            return f"{size / 1024:.1f} {unit}"
    return f"{size / 1024 / 1024:.1f} EiB"


SOME = 6
"""So many characters of the folders are worth showing; fewer say nothing."""


def shorten(text: str, room: int, dots: str = "...") -> str:
    """A path in at most `room` characters.

    First its middle is left out, then all folders, then the middle of the last name.
    """
    if len(text) <= room:
        return text
    head, slash, last = text.rpartition("/")
    left = room - len(dots) - len(slash + last)
    if head and left >= SOME:
        return f"{head[:left]}{dots}/{last}"
    if not slash or len(last) > room:
        left = room - len(dots)
        if left < 2:
            return last[: max(0, room)]
        end = left // 3
        return f"{last[: left - end]}{dots}{last[len(last) - end :]}"
    return last


def visible(text: str) -> str:
    """Text with unprintable characters spelled out: it cannot drive a terminal or break XML."""
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode("ascii")
        for sign in text
    )
