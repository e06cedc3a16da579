"""The areas of a real process: /proc/PID/maps and smaps, and saved copies of them.

The kernel writes these files while it walks the process's VMAs, and lets go of its lock about once
per page of text. So a reading of a running process is not a snapshot: each line was true when it
was written, but an area that moves meanwhile can be missing or be seen twice. An area that replaces
another can even begin below the other's end, although the kernel's documentation rules that out;
such a reading is thrown away. Stop the process first where that matters.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import BinaryIO

from mmlocks.errors import HostError
from mmlocks.mm.area import Area

PROC = Path("/proc")
LIMIT = 256 << 20
"""Bytes of a saved file at most.

The smaps of a process with 65,530 areas, the usual limit, has a quarter of that.
"""

_HEAD = (
    r"([0-9a-f]{1,16})-([0-9a-f]{1,16}) ([r-][w-][x-][sp]) ([0-9a-f]{1,16})"
    r" ([0-9a-f]+:[0-9a-f]+) ([0-9]{1,20})(?: +|(?=\n|\Z))(.*)(?:\n|\Z)"
)
_MAPS = re.compile(_HEAD)
# Possessive (*+, ?+): the match never gives a field back. That is twice as fast, and finds the
# first bad line.
_SMAPS = re.compile(
    _HEAD
    + r"(?:[A-Z](?!mFlags)\w*:.*(?:\n|\Z))*+(?:VmFlags:(.*)(?:\n|\Z))?+(?:[A-Z]\w*:.*(?:\n|\Z))*+"
)
_FIELD = re.compile(r"^[A-Z]\w*:", re.MULTILINE)
_LINE = (
    "START-END PERMISSIONS OFFSET DEVICE INODE FILE, "
    "such as '00400000-0048a000 r-xp 00000000 fd:03 960637 /bin/bash'"
)
READINGS = 10
"""A process whose areas seem to overlap is read so many times.

If a process only maps and unmaps, one reading in a hundred overlaps.
"""
_KERNEL_THREAD = 0x0020_0000
"""PF_KTHREAD among the flags in /proc/PID/stat."""


class Overlap(HostError):
    """Areas overlap: the maps are of two processes, or of one that changed meanwhile."""


def parse_maps(text: str, where: str = "maps") -> list[Area]:
    r"""The areas in a text of the form of /proc/PID/maps, in address order; an empty text has none.

    A file's name stays as the kernel writes it: a newline in it is `\012`. `where` names the text
    in errors.
    Raises HostError for the first line that is not a line of maps.
    """
    return _parse(_MAPS, text, where, f"Expected {_LINE}")


def parse_smaps(text: str, where: str = "smaps") -> list[Area]:
    """The same for /proc/PID/smaps. Its areas have flags (None where the kernel gives none).

    The fields between (Rss, Pss, ...) differ from kernel to kernel: all are accepted and dropped.
    """
    return _parse(_SMAPS, text, where, f"Expected a field, such as 'Rss: 4 kB', or {_LINE}")


def _parse(pattern: re.Pattern[str], text: str, where: str, expected: str) -> list[Area]:
    areas = []
    position, last, end_of_text = 0, 0, len(text.rstrip("\n"))
    match_at = pattern.match
    while position < end_of_text:
        found = match_at(text, position)
        if found is None:
            raise _bad_line(text, position, where, f"is not an area. {expected}.")
        low, high, perms, offset, device, inode, file, *flags = found.groups()
        start, end = int(low, 16), int(high, 16)
        if start >= end:
            raise _bad_line(
                text, position, where, "ends before it begins. Expected START below END."
            )
        if start < last:
            problem = _bad_line(
                text, position, where, f"begins below {last:x}, where the area before it ends."
            )
            raise Overlap(
                f"{problem} These are the maps of two processes, or of one that changed while they "
                "were copied. Copy them again from one that is stopped (kill -STOP PID, and "
                "afterwards kill -CONT PID)."
            )
        known = frozenset(flags[0].split()) if flags and flags[0] is not None else None
        areas.append(Area(start, end, perms, int(offset, 16), file, known, device, int(inode)))
        position, last = found.end(), end
    return areas


def _bad_line(text: str, position: int, where: str, what: str) -> HostError:
    line = text[position:].partition("\n")[0]
    shown = line if len(line) <= 80 else f"{line[:77]}..."
    return HostError(f"{where}, line {text.count(chr(10), 0, position) + 1}: {shown!r} {what}")


def read_areas(pid: int | None = None) -> list[Area]:
    """The areas of a process, by default of this one; with flags where smaps may be read.

    Areas and flags are from one reading, so they belong together; but it is not a snapshot (see
    above). Raises HostError if there is no such process, if it has no address space, or if it may
    not be looked at; Overlap if it changes so fast that no reading makes sense.
    """
    if not (PROC / "self").exists():
        raise HostError(
            f"there is no {PROC} here: only Linux shows its processes so. To look at areas that "
            "were saved on a Linux computer (cat /proc/PID/maps > FILE), use --file FILE."
        )
    who = os.getpid() if pid is None else pid
    if who < 1:
        raise HostError(
            f"there is no process {who}: their numbers begin at 1. "
            f"To list yours: ps -u {os.getuid()}"
        )
    folder = PROC / str(who)
    try:
        for reading in range(READINGS):
            try:
                areas = _read(folder)
                break
            except Overlap:
                if reading == READINGS - 1:
                    raise
    except (FileNotFoundError, ProcessLookupError, NotADirectoryError):
        if folder.exists():
            raise HostError(
                f"process {who} ended while it was read. Choose one that runs on."
            ) from None
        raise HostError(
            f"there is no process {who}, or none that you may see; perhaps it has ended. "
            f"To list yours: ps -u {os.getuid()}"
        ) from None
    except PermissionError:
        raise _without_memory(who) or HostError(
            f"you may not look at process {who}: it belongs to another user, or is protected. "
            f"Choose one of your own (ps -u {os.getuid()}), or let root save it: "
            f"sudo cat /proc/{who}/smaps > FILE, and use --file FILE."
        ) from None
    except OSError as problem:
        raise HostError(
            f"the areas of process {who} cannot be read from {folder}: "
            f"{problem.strerror or problem}."
        ) from None
    if not areas:
        raise _without_memory(who) or HostError(
            f"process {who} ended while it was read. Choose one that runs on."
        )
    return areas


def _read(folder: Path) -> list[Area]:
    try:
        return parse_smaps(_decoded((folder / "smaps").read_bytes()), str(folder / "smaps"))
    except (FileNotFoundError, PermissionError):  # some kernels lack it, some sandboxes forbid it
        return parse_maps(_decoded((folder / "maps").read_bytes()), str(folder / "maps"))


def name_of(pid: int) -> str:
    """What a process calls itself (15 characters at most), or "" if it cannot be read."""
    try:
        return _decoded((PROC / str(pid) / "comm").read_bytes()).removesuffix("\n")
    except OSError:
        return ""


def program_of(pid: int) -> str:
    """The file that a process executes, spelled as in its maps, or "" if it cannot be read."""
    try:
        program = (PROC / str(pid) / "exe").readlink()
    except OSError:
        return ""
    return _decoded(os.fsencode(program)).replace("\n", "\\012")


def _without_memory(pid: int) -> HostError | None:
    """Why a process has no areas, if it is a kernel thread or has ended."""
    try:
        state, *fields = (
            (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
        )
        flags = int(fields[5])
    except (OSError, ValueError, IndexError):
        return None
    if flags & _KERNEL_THREAD:
        return HostError(
            f"process {pid} ({name_of(pid)}) is a thread of the kernel: it has no address space of "
            "its own, so there is nothing to show. Choose a program's process; "
            f"to list yours: ps -u {os.getuid()}"
        )
    if state in "ZX":
        return HostError(
            f"process {pid} ({name_of(pid)}) has ended and given its memory back; only its exit "
            "status waits for its parent. Choose one that runs on."
        )
    return None


def read_saved(file: str) -> list[Area]:
    """The areas in a copy of a maps file or of an smaps file; `-` is standard input.

    Raises HostError if it cannot be read, is neither of the two, is larger than LIMIT, or has no
    areas.
    """
    name = "standard input" if file == "-" else file
    try:
        if file == "-":
            text = _text_in(sys.stdin.buffer, name)
        else:
            with Path(file).open("rb") as stream:
                text = _text_in(stream, name)
    except IsADirectoryError:
        raise HostError(
            f"{name or '.'} is a folder. Name a file: cat /proc/PID/maps > FILE makes one."
        ) from None
    except FileNotFoundError:
        raise HostError(
            f"there is no file {name}. Look at its spelling; cat /proc/PID/maps > FILE makes one."
        ) from None
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else problem
        raise HostError(
            f"{_short(name)} cannot be read: {reason or problem}. Name another file."
        ) from None
    if not text.strip():
        raise HostError(
            f"{name} is empty, like the maps of a kernel thread, or of a process that has ended. "
            "Save those of one that runs, with cat /proc/PID/maps > FILE."
        )
    if not _MAPS.match(text):
        line = text.partition("\n")[0]
        raise HostError(
            f"{name} is not a saved maps or smaps: it begins with {_short(line)!r}. "
            f"Expected {_LINE}. To make one: cat /proc/PID/maps > FILE"
        )
    areas = parse_smaps(text, name) if _FIELD.search(text) else parse_maps(text, name)
    if [area.file for area in areas] == ["[rollup]"]:
        raise HostError(
            f"{name} is a copy of smaps_rollup, which has sums only. "
            "Save smaps: cat /proc/PID/smaps > FILE"
        )
    return areas


def _text_in(stream: BinaryIO, name: str) -> str:
    """All that a stream holds. It may be a pipe or a device: only reading tells its length."""
    parts, size = [], 0
    while part := stream.read(1 << 20):
        size += len(part)
        if b"\0" in part:
            raise HostError(
                f"{name} is not text but a binary file. A saved maps is text; "
                "to make one: cat /proc/PID/maps > FILE"
            )
        if size > LIMIT:
            raise HostError(
                f"{name} has more than {LIMIT >> 20} MiB, which is more than any process's areas "
                "take. Name a copy of /proc/PID/maps or smaps."
            )
        parts.append(part)
    # A copy that came by way of Windows has \r\n, and may have a byte-order mark.
    return _decoded(b"".join(parts).removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n"))


def _decoded(content: bytes) -> str:
    """Text. A file's name may hold any bytes: those that are not UTF-8 are spelled out."""
    return content.decode(errors="backslashreplace")


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."
