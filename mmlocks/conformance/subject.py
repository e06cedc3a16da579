"""What the comparison runs a program on: a process of the real kernel, of the model, or one that was recorded."""

from __future__ import annotations

from typing import Protocol, Self

from mmlocks.mm.area import Area

FILE = 1
"""The `file` argument of mmap that stands for the test file: FILE_PAGES pages, word 0 and 1 of page n hold FILE_WORD + n."""
FILE_PAGES = 16
FILE_WORD = 0xF11E0000


class Subject(Protocol):
    """A process that does what it is told, one operation at a time.

    Results are the kernel's: a non-negative number, or minus an errno.
    """

    def call(self, name: str, *args: int) -> int:
        """Make a system call on memory.

        Lengths and addresses are in bytes, all arguments are given:
        mmap(addr, length, prot, flags, file, offset)    file 0: anonymous; FILE: the test file
        munmap(addr, length)
        mprotect(addr, length, prot)
        brk(addr)                                        the new (or unchanged) break, as the raw system call returns it
        mremap(old_addr, old_length, new_length, flags, new_addr)
        madvise(addr, length, advice)
        """
        ...

    def store(self, address: int, value: int) -> bool:
        """Store an 8-byte word as user code does; False if that is a segmentation fault, which the process survives."""
        ...

    def load(self, address: int) -> int | None:
        """Load an 8-byte word as user code does; None if that is a segmentation fault, which the process survives."""
        ...

    def fork(self) -> Self:
        """A child process, which can be told what to do from now on, too."""
        ...

    def areas(self, flags: bool) -> list[Area]:
        """All areas in address order; with `flags`, the VmFlags of each, which takes longer."""
        ...

    def peek(self, address: int) -> int | None:
        """The word that is in memory at an address, whatever the permissions; None if no VMA is there.

        A page that was never touched reads as 0 (or as the file), and is no more touched afterwards than before, as far as any
        other operation can tell.
        """
        ...
