"""What a program runs on: a process of the real kernel, or of the model."""

from __future__ import annotations

from typing import Protocol, Self

from mmlocks.mm.area import Area

FILE = 1
"""The `file` argument of mmap for the test file.

It has FILE_PAGES pages; words 0 and 1 of page n hold FILE_WORD + n.
"""
FILE_PAGES = 16
FILE_WORD = 0xF11E0000


class Subject(Protocol):
    """A process that carries out one operation at a time, and survives segmentation faults.

    Results are the kernel's: a non-negative number, or minus an errno.
    """

    def call(self, name: str, *args: int) -> int:
        """Make a system call on memory.

        Lengths and addresses are in bytes, all arguments are given: mmap(addr, length, prot, flags,
        file, offset)    file 0: anonymous; FILE: the test file munmap(addr, length) mprotect(addr,
        length, prot) brk(addr)                                        the new (or unchanged) break,
        as the raw system call returns it mremap(old_addr, old_length, new_length, flags, new_addr)
        madvise(addr, length, advice)
        """
        ...

    def store(self, address: int, value: int) -> bool:
        """Store an 8-byte word as user code does; False for a segmentation fault."""
        ...

    def load(self, address: int) -> int | None:
        """Load an 8-byte word as user code does; None for a segmentation fault."""
        ...

    def fork(self) -> Self:
        """A child process, which from now on carries out operations as well."""
        ...

    def areas(self, flags: bool) -> list[Area]:
        """All areas in address order; with `flags`, the VmFlags of each, which takes longer."""
        ...

    def peek(self, address: int) -> int | None:
        """The word at an address, without regard to permissions; None if no VMA is there.

        A page that was never touched reads as 0 (or as the file). It still counts as untouched:
        other operations cannot tell that it was read.
        """
        ...
