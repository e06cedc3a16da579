"""What an area is for, told from its line in maps and its neighbours: program, library, heap, stack, ...

What a `Kind` says follows from the line itself. What has a question mark is a guess from where an area lies: maps does not say it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from mmlocks.mm.area import Area


class Kind(NamedTuple):
    """A kind of area: its name, the letter that stands for it where there is little room, and which areas it has."""

    name: str
    letter: str
    about: str


PROGRAM = Kind("program", "P", "the file that the process executes")
LIBRARY = Kind("library", "L", "another file with code, or named like a library (.so)")
FILE = Kind("file", "F", "any other file, or a device")
HEAP = Kind("heap", "H", "[heap], which brk moves; malloc's first choice")
STACK = Kind("stack", "S", "[stack], that of the first thread")
ANONYMOUS = Kind("anonymous", "A", "no file: memory that began as zeros")
SHARED = Kind("shared memory", "M", "memory that processes may share, without a file on a disk")
KERNEL = Kind("kernel", "K", "put there by the kernel: [vdso], [vvar], ...")
NO_ACCESS = Kind(
    "no access", "N", "a guard, in which pointers gone astray are caught, or addresses reserved for later"
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
    "mg": "equal pages merged",
    "nr": "no swap set aside",
    "io": "a device's memory",
    "um": "faults handled by userfaultfd",
    "uw": "stores watched by userfaultfd",
    "ui": "page cache watched by userfaultfd",
    "ss": "shadow stack",
    "sl": "sealed",
    "dp": "may be dropped",
    "gu": "guard pages inside",
}
"""The flags that tell a learner something which the line of maps does not, in words."""

LITTLE = 1 << 20
"""Bytes up to which memory without access is taken for a guard, and not for a reserve."""
ARENA = 64 << 20
"""glibc's malloc gives threads arenas of this size and alignment: the used part first, the rest without access."""

BSS = ".bss of"
THREAD_STACK = "a thread's stack?"
THREAD_ARENA = "a thread's malloc?"

_KERNELS = {
    "[vdso]": "system calls without entering it",
    "[vvar]": "clock data for [vdso]",
    "[vvar_vclock]": "clock data for [vdso]",
    "[vsyscall]": "ancestor of [vdso]",
    "[vectors]": "helpers of 32-bit ARM",
    "[sigpage]": "the way back from signals",
    "[uprobes]": "for tracing",
}
_MEMORY = ("/memfd:", "/dev/shm/", "/dev/zero", "/SYSV", "/anon_hugepage", "[anon_shmem", "/dmabuf:")  # noqa: S108  names in maps, no files
_LIBRARY = re.compile(r"\.so(\.[\w.-]+)?( \(deleted\))?$")


class Described(NamedTuple):
    """An area, its kind, what part of its kind it is ("code"; may be empty), and its name ("/usr/bin/cat"; may be empty)."""

    area: Area
    kind: Kind
    part: str
    name: str

    @property
    def lead(self) -> str:
        """The words before the name, such as "program code"."""
        if self.kind is NO_ACCESS:
            return "guard" if size_of(self.area) <= LITTLE else "reserved"
        if self.kind is FILE and shared(self.area):
            return "shared file"  # what is stored here reaches the file
        return f"program {self.part}".rstrip() if self.kind is PROGRAM else self.kind.name

    def words(self, room: int = 1 << 20, dots: str = "...") -> str:
        """All of it in at most `room` characters: "library /usr/lib/libc.so.6: code", "anonymous: a thread's stack?"."""
        lead, name = self.lead, visible(self.name)
        tail = f": {visible(self.part)}" if self.part and self.kind is not PROGRAM else ""
        if not name:
            return shorten(lead + tail, room, dots)
        left = room - len(lead) - 1
        # What part it is can be seen from what is allowed there as well; the name cannot.
        if len(base_name(name)) + len(tail) > left:
            tail = ""
        return f"{lead} {shorten(name, left - len(tail), dots)}{tail}"

    @property
    def remarks(self) -> list[str]:
        """What is worth saying beside its name, in words; most of it is told by flags."""
        if self.kind is KERNEL:
            return []  # nobody chose them
        said = ["grows up"] if self.kind is HEAP else []
        if self.area.flags is None:
            return [WORTH_SAYING["gd"]] if self.kind is STACK else said  # a stack's name says it, too
        # Memory without access needs no swap, whatever was asked for.
        flags = self.area.flags - {"nr"} if self.kind is NO_ACCESS else self.area.flags
        return said + [words for flag, words in WORTH_SAYING.items() if flag in flags]


def describe(areas: Sequence[Area], program: str = "") -> list[Described]:
    """What each area is. `program` is the file that the process executes; without it, the lowest that can be one."""
    code = {area.file for area in areas if "x" in area.perms and area.file}
    program = program if program in code else _program(areas)
    kinds = [_kind(area, program, code) for area in areas]
    described = []
    for index, (area, kind) in enumerate(zip(areas, kinds, strict=True)):
        below = index - 1 if index and areas[index - 1].end == area.start else None
        above = index + 1 if index + 1 < len(areas) and areas[index + 1].start == area.end else None
        part, name = "", area.file
        if kind in (PROGRAM, LIBRARY):
            part = "code" if "x" in area.perms else "data" if "w" in area.perms else "constants"
        elif kind is KERNEL:
            part = _KERNELS.get(name, "")
        elif kind is ANONYMOUS and name:
            part, name = _given_name(name), ""
        elif kind is ANONYMOUS and "w" in area.perms:
            part = _purpose(areas, kinds, index, below, above)
        elif kind is NO_ACCESS and not name:
            if above is not None and _purpose(areas, kinds, above, index, None) == THREAD_STACK:
                part = f"below {THREAD_STACK}"
            elif below is not None and _arena(areas[below], area):
                part = f"rest of {THREAD_ARENA}"
        elif kind in (HEAP, STACK):
            name = "" if name in ("[heap]", "[stack]") else name
        described.append(Described(area, kind, part, name))
    return described


def _program(areas: Sequence[Area]) -> str:
    """The lowest file with code that is not named like a library: below all others, unless somebody started ld.so by hand."""
    for area in areas:
        real = area.file.startswith("/") and not area.file.startswith((*_MEMORY, "/dev/"))
        if "x" in area.perms and real and not _LIBRARY.search(area.file):
            return area.file
    return ""


def _kind(area: Area, program: str, code: set[str]) -> Kind:
    file = area.file
    if file == "[heap]":
        return HEAP
    if file.startswith("[stack"):
        return STACK
    if file.startswith("[") and not file.startswith(("[anon:", "[anon_shmem")):
        return KERNEL
    if not set(area.perms) & set("rwx"):
        return NO_ACCESS
    if not file or file.startswith("[anon:"):
        return ANONYMOUS
    if file == program:
        return PROGRAM
    if file.startswith(_MEMORY):
        return SHARED
    if _LIBRARY.search(file) or (file in code and file.startswith("/") and not file.startswith("/dev/")):
        return LIBRARY
    return FILE


def _purpose(
    areas: Sequence[Area], kinds: Sequence[Kind], index: int, below: int | None, above: int | None
) -> str:
    """What writable anonymous memory is probably for, by what touches it."""
    area = areas[index]
    if kinds[index] is not ANONYMOUS or area.file or "w" not in area.perms:
        return ""
    if above is not None and _arena(area, areas[above]):
        return THREAD_ARENA
    if below is None:
        return ""
    lower = areas[below]
    if kinds[below] in (PROGRAM, LIBRARY) and "w" in lower.perms:
        # A file's variables that begin as zeros lie above its others. Other memory may lie there, too; it is mostly larger.
        first = below
        while first and areas[first - 1].file == lower.file and areas[first - 1].end == areas[first].start:
            first -= 1
        return f"{BSS} {base_name(lower.file)}?" if size_of(area) <= lower.end - areas[first].start else ""
    if (
        kinds[below] is NO_ACCESS
        and not lower.file
        and size_of(lower) <= LITTLE
        and size_of(area) > size_of(lower)
    ):
        return THREAD_STACK
    return ""


def _arena(used: Area, rest: Area) -> bool:
    return (
        used.end == rest.start
        and not used.file
        and not rest.file
        and "w" in used.perms
        and not set(rest.perms) & set("rwx")
        and used.start % ARENA == rest.end % ARENA == 0
        and rest.end - used.start == ARENA
    )


def _given_name(file: str) -> str:
    """The name in `[anon:name]`, which a program gave with prctl(PR_SET_VMA_ANON_NAME)."""
    return file.removeprefix("[anon:").removesuffix("]")


# -- small words ------------------------------------------------------------------------------------------------------


def size_of(area: Area) -> int:
    """Bytes from start to end."""
    return area.end - area.start


def shared(area: Area) -> bool:
    """True if stores reach everybody who maps the same, and not a private copy."""
    return area.perms.endswith("s")


def permissions(area: Area) -> str:
    """What the program may do there, in words."""
    words = ("read", "write", "exec")
    return " ".join(word for word, sign in zip(words, area.perms, strict=False) if sign != "-") or "no access"


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
"""So much of the folders is worth showing; less says nothing."""


def shorten(text: str, room: int, dots: str = "...") -> str:
    """A path in at most `room` characters: the middle goes first, then all folders, then the middle of its last name."""
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
    """Text that cannot drive a terminal or break XML: what is not printable is spelled out."""
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode("ascii") for sign in text
    )
