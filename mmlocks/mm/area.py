"""An area of an address space as /proc/PID/maps and smaps show it: a VMA from outside."""

from __future__ import annotations

from typing import NamedTuple


class Area(NamedTuple):
    """One line of /proc/PID/maps, and what smaps adds to it.

    `start` and `end` are byte addresses, half-open. `perms` is `rw-p` and the like. `offset` is in
    bytes, and 0 for anonymous memory, as in maps. `file` is the last column: a path, `[heap]`,
    `[stack]`, or empty. `flags` are the two-letter codes of smaps' VmFlags line (`gd` grows down,
    `ac` accounted, ...; Documentation/filesystems/proc.rst). They are None where they are not
    known: smaps was not read, or a kernel before 3.8 wrote it.
    """

    start: int
    end: int
    perms: str
    offset: int = 0
    file: str = ""
    flags: frozenset[str] | None = None
    device: str = "00:00"
    inode: int = 0

    def __str__(self) -> str:
        """The line of /proc/PID/maps, without its line end."""
        place = f"{self.offset:08x} {self.device} {self.inode} "
        line = f"{self.start:08x}-{self.end:08x} {self.perms} {place}"
        return f"{line:<72} {self.file}".rstrip() + ("" if self.file else " ")
