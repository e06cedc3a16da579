"""An area of an address space as /proc/PID/maps and smaps show it: what a VMA looks like from outside."""

from __future__ import annotations

from typing import NamedTuple


class Area(NamedTuple):
    """One line of /proc/PID/maps, and what smaps adds to it.

    `start` and `end` are byte addresses, half-open; `perms` is `rw-p` and the like; `offset` is in bytes and 0 for
    anonymous memory, as in maps; `file` is the last column (a path, `[heap]`, `[stack]`, or empty). `flags` are the
    two-letter codes of smaps' VmFlags line (`gd` grows down, `ac` accounted, ...; Documentation/filesystems/proc.rst), or None where
    they are not known: smaps was not read, or was written by a kernel before 3.8.
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
        line = f"{self.start:08x}-{self.end:08x} {self.perms} {self.offset:08x} {self.device} {self.inode} "
        return f"{line:<72} {self.file}".rstrip() + ("" if self.file else " ")


class Limits(NamedTuple):
    """What else a process's layout depends on; all in bytes, but for `max_map_count`.

    `mmap_base`: the top of the range in which the kernel places mappings, going down. `task_size`: the end of user addresses.
    `start_brk`, `brk`: the heap's start and its end, as of the moment at which the areas were read. `rlimit_stack`: how large a
    stack may grow. `mmap_min_addr`: the lowest address that mmap gives to a hint. `max_map_count`: vm.max_map_count.
    """

    mmap_base: int
    task_size: int = 0x7FFF_FFFF_F000
    start_brk: int = 0
    brk: int = 0
    rlimit_stack: int = 8 << 20
    stack_guard_gap: int = 256 << 12
    mmap_min_addr: int = 0x10000
    max_map_count: int = 65530
