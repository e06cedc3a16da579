"""A program: operations on memory that both the kernel and the model carry out in turn.

Programs are plain values. Their addresses are symbolic. So a program means the same in every
process, wherever its heap and stack lie, and keeps a meaning if operations are taken out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from mmlocks.errors import HostError

PAGE = 4096
HUGE_PAGE = 512 * PAGE

# The numbers of Linux on x86-64, not of the module mmap: programs are made and replayed on other
# systems, too.
PROT_NONE, PROT_READ, PROT_WRITE, PROT_EXEC, PROT_GROWSDOWN = 0, 1, 2, 4, 0x0100_0000
MAP_SHARED, MAP_PRIVATE, MAP_FIXED, MAP_ANONYMOUS, MAP_GROWSDOWN = 0x1, 0x2, 0x10, 0x20, 0x100
MAP_NORESERVE, MAP_FIXED_NOREPLACE = 0x4000, 0x10_0000
MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP = 1, 2, 4
MADV_DONTNEED, MADV_UNKNOWN = 4, 99

ARENA = 0x1000_0000_0000
"""The base of most addresses of a program.

Only the program itself maps memory within terabytes of it.
"""

PARAMETERS: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "mmap": ("addr", "length", "prot", "flags", "file", "offset"),
    "munmap": ("addr", "length"),
    "mprotect": ("addr", "length", "prot"),
    "brk": ("addr",),
    "mremap": ("addr", "length", "new_length", "remap", "new_addr"),
    "madvise": ("addr", "length", "advice"),
    "store": ("addr", "value"),
    "load": ("addr",),
    "fork": ("child",),
}
"""The operations and their parameters, in the order of mmlocks.conformance.subject.

`nothing` keeps the place of an operation that was taken out.
"""
CALLS = frozenset({"mmap", "munmap", "mprotect", "brk", "mremap", "madvise"})
PLACES = frozenset({"addr", "new_addr"})
"""The parameters that are addresses: Places in a program, numbers once it runs."""
ERRNOS = {
    1: "EPERM", 9: "EBADF", 11: "EAGAIN", 12: "ENOMEM", 13: "EACCES", 14: "EFAULT", 16: "EBUSY",
    17: "EEXIST", 19: "ENODEV", 22: "EINVAL", 75: "EOVERFLOW", 95: "EOPNOTSUPP",
}  # fmt: skip
"""Linux's numbers, whatever system this runs on."""
PROCESSES = 3
"""Parent (0), child (1) and one more (2), which is the child's child or its sibling."""
LONGEST = 1_000
"""More operations than this in a file are an error: such a program is too long to be read."""


class Place(NamedTuple):
    """An address, as `page` pages and `byte` bytes from a base.

    The bases: `arena`, `heap` (start_brk), `stack` (its end), `zero`, `limit` (the end of user
    addresses), and `r7`, what operation 7 returned (the arena, if that was an error).
    """

    base: str
    page: int = 0
    byte: int = 0


class Operation(NamedTuple):
    """One operation by one process, with a value for each of its PARAMETERS.

    `child` is the number of the new process.
    """

    name: str
    process: int = 0
    args: tuple[Place | int, ...] = ()


NOTHING = Operation("nothing")
Program = tuple[Operation, ...]


def address(place: Place, bases: Mapping[str, int]) -> int:
    """The address of a place, in 64 bits.

    `bases` has the address of each base that is known so far.
    """
    return bases.get(place.base, ARENA) + place.page * PAGE + place.byte & 0xFFFF_FFFF_FFFF_FFFF


def size(program: Program) -> int:
    """How many operations a program has, `nothing` not counted."""
    return sum(operation.name != "nothing" for operation in program)


def compact(program: Program, results: Sequence[int | None] | None = None) -> Program:
    """The same program without `nothing`, and with its results numbered anew.

    With `results` (of a run of it), places that count from an error count from the arena, as they
    do in a run.
    """
    new: dict[str, str] = {}
    kept: list[Operation] = []
    for number, operation in enumerate(program):
        if operation.name == "nothing":
            continue
        failed = results is not None and number < len(results) and not is_address(results[number])
        if not failed:
            new[f"r{number}"] = f"r{len(kept)}"
        kept.append(operation)

    def renamed(value: Place | int) -> Place | int:
        if isinstance(value, Place) and is_result(value.base):
            return value._replace(base=new.get(value.base, "arena"))
        return value

    return tuple(operation._replace(args=tuple(map(renamed, operation.args))) for operation in kept)


def is_result(base: str) -> bool:
    """Whether a base is the result of an operation."""
    return base[0] == "r"


def is_address(result: int | None) -> bool:
    """Whether a system call succeeded. None stands for a segmentation fault."""
    return result is not None and result >= 0


def errno_name(result: int) -> str:
    """ENOMEM for -12."""
    return ERRNOS.get(-result, f"errno {-result}")


# -- as JSON ---------------------------------------------------------------------------------------


def to_json(program: Program) -> list[Any]:
    """A program as plain lists: `["mprotect", 0, ["arena", 3, 0], 4096, 1]`."""
    return [
        [one.name, one.process, *(list(arg) if isinstance(arg, Place) else arg for arg in one.args)]
        for one in program
    ]


def from_json(value: Any, where: str) -> Program:
    """The program that `to_json` wrote.

    Raises HostError, naming `where` and the operation, for anything else.
    """
    if not isinstance(value, list) or len(value) > LONGEST:
        raise HostError(f"{where}: a program is a list of at most {LONGEST:,} operations.")
    return tuple(
        _operation(one, f"{where}, operation {number}") for number, one in enumerate(value)
    )


def _operation(value: Any, where: str) -> Operation:
    if not isinstance(value, list) or len(value) < 2 or value[0] not in PARAMETERS:
        raise HostError(
            f"{where}: an operation is a list of its name, its process and its arguments; the "
            f"names are {', '.join(PARAMETERS)}."
        )
    name, process, *given = value
    parameters = PARAMETERS[name]
    if not _whole(process, 0, PROCESSES - 1):
        raise HostError(
            f"{where}: {name} is done by process 0 to {PROCESSES - 1}, not {process!r}."
        )
    if len(given) != len(parameters):
        raise HostError(
            f"{where}: {name} takes {', '.join(parameters) or 'nothing'}; {len(given)} were given."
        )
    return Operation(
        name, process, tuple(map(_argument, given, parameters, [f"{where}: {name}"] * len(given)))
    )


def _argument(value: Any, parameter: str, where: str) -> Place | int:
    if parameter == "child" and not _whole(value, 1, PROCESSES - 1):
        raise HostError(f"{where}'s child is process 1 to {PROCESSES - 1}, not {value!r}.")
    if parameter not in PLACES:
        if not _whole(value, 0, 2**64 - 1):
            raise HostError(f"{where}'s {parameter} is a number in 64 bits, not {value!r}.")
        return int(value)
    fine = isinstance(value, list) and len(value) == 3 and isinstance(value[0], str)
    if not fine or not re.fullmatch(r"arena|heap|stack|zero|limit|r\d{1,4}", value[0]):
        raise HostError(
            f"{where}'s {parameter} is a place, [base, pages, bytes], whose base is arena, heap, "
            f"stack, zero, limit or r and the number of an operation; not {value!r}."
        )
    if not all(_whole(number, -(2**63), 2**63) for number in value[1:]):
        raise HostError(
            f"{where}'s {parameter}: pages and bytes are whole numbers, not {value[1:]!r}."
        )
    return Place(*value)


def _whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def processes_of(program: Iterable[Operation]) -> set[int]:
    """The processes that a program has, if every fork of it works."""
    found = {0}
    for one in program:
        if one.name == "fork" and one.process in found and isinstance(one.args[0], int):
            found.add(one.args[0])
    return found
