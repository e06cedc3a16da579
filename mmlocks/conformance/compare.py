"""Carries a program out, looks at the process after every operation, and compares two such runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from mmlocks.conformance.program import (
    ARENA,
    CALLS,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MREMAP_FIXED,
    PAGE,
    Operation,
    Place,
    Program,
    address,
    is_address,
)
from mmlocks.conformance.subject import Subject
from mmlocks.errors import HostError
from mmlocks.mm.address import Limits
from mmlocks.mm.area import Area

COMPARED_FLAGS = frozenset(
    {
        "rd", "wr", "ex",  # what may be done now: also in the permissions, and must agree with them
        "mr", "mw", "me", "ms",  # what mprotect may allow: for its EACCES, and for merging
        "gd",  # grows down: stack growth, the guard gap, merging
        "ac", "nr",  # counted as promised memory, or not to be counted: merging
    }
)  # fmt: skip
"""The VmFlags in which kernel and model must agree.

Not compared: `sd` (soft-dirty; merging ignores it), `sh` (is in the permissions), and flags that no
operation of a program can change (`lo`, `dc`, `wf`, `de`, `io`, ...).
"""

Words = tuple[int | None, int | None]
"""The first two words of a page."""


class Start(NamedTuple):
    """A process before the first operation; `areas` have their flags."""

    limits: Limits
    areas: tuple[Area, ...]


class Observation(NamedTuple):
    """What one operation did, and what the processes were like after it.

    `args` are its arguments as numbers. `result` is what it returned: minus an errno, None for a
    segmentation fault, the word that was loaded, 0 for a store or a fork that worked. `areas` and
    `words` have an entry for each living process; words are those of each page touched so far, by
    its address. An operation is LEFT_OUT if its process was never forked, or if it would reach the
    text or data that a real process needs to run.
    """

    args: tuple[int, ...]
    result: int | None
    areas: dict[int, list[Area]]
    words: dict[int, dict[int, Words]]


LEFT_OUT = Observation((), None, {}, {})


class Mismatch(NamedTuple):
    """The first operation (`number`) after which two runs of a program differ.

    `what` is result, areas or words (of `process`), or error: the second run could not do the
    operation, and `note` says why. `results` are those of the first run, up to this operation.
    """

    program: Program
    number: int
    what: str
    process: int
    expected: Observation
    found: Observation
    results: tuple[int | None, ...]
    note: str = ""


def bases(start: Start) -> dict[str, int]:
    """The address of each base from which places count, results excepted."""
    stack = [area.end for area in start.areas if area.file == "[stack]"]
    return {
        "arena": ARENA,
        "heap": start.limits.start_brk,
        "stack": stack[-1] if stack else start.limits.task_size,
        "zero": 0,
        "limit": start.limits.task_size,
    }


def observe(program: Program, subject: Subject, start: Start) -> Iterator[Observation]:
    """Carry out a program, one operation each time that the next observation is taken."""
    known = bases(start)
    processes: dict[int, Subject] = {0: subject}
    touched: set[int] = set()
    for number, operation in enumerate(program):
        done = _perform(operation, processes, known, start)
        if done is None:
            yield LEFT_OUT
            continue
        args, result = done
        if operation.name in ("mmap", "mremap") and is_address(result):
            assert result is not None
            known[f"r{number}"] = result
        _note_touched(touched, operation.name, args, result)
        yield Observation(
            args,
            result,
            {one: process.areas(flags=True) for one, process in processes.items()},
            {one: _words(process, touched) for one, process in processes.items()},
        )


def _perform(
    operation: Operation, processes: dict[int, Subject], known: dict[str, int], start: Start
) -> tuple[tuple[int, ...], int | None] | None:
    """Arguments and result of an operation; None if it is left out.

    It is left out if its process does not exist, if there is nothing to do, or if it is forbidden.
    """
    name, process, given = operation
    subject = processes.get(process)
    if subject is None or name == "nothing":
        return None
    args = tuple(address(arg, known) if isinstance(arg, Place) else arg for arg in given)
    if _forbidden(name, args, start):
        return None
    if name in CALLS:
        return args, subject.call(name, *args)
    if name == "store":
        return args, 0 if subject.store(args[0], args[1]) else None
    if name == "load":
        return args, subject.load(args[0])
    if args[0] in processes:
        return None
    processes[args[0]] = subject.fork()
    return args, 0


def _forbidden(name: str, args: tuple[int, ...], start: Start) -> bool:
    """Whether an operation must not be done, since the process could not go on after it.

    It would reach an area that the process has from the start and needs: all but stack and heap.

    Also forbidden: to map below mmap_min_addr, since the result depends on the user
    (CAP_SYS_RAWIO).
    """
    limits = start.limits
    fixed = (name == "mmap" and args[3] & (MAP_FIXED | MAP_FIXED_NOREPLACE)) or (
        name == "mremap" and args[3] & MREMAP_FIXED
    )
    if fixed and (args[0] if name == "mmap" else args[4]) < limits.mmap_min_addr:
        return True
    kept = [area for area in start.areas if area.file not in ("[stack]", "[heap]")]
    return any(
        low < area.end and area.start < high
        for low, high in _reached(name, args, limits.task_size)
        for area in kept
    )


def _reached(name: str, args: tuple[int, ...], limit: int) -> Iterator[tuple[int, int]]:
    """The ranges that an operation may change or read.

    An operation that is refused for its size alone reaches nothing.
    """
    if name in ("store", "load"):
        yield args[0], args[0] + 8
    elif name == "mremap":
        yield args[0], args[0] + max(args[1], 1)
        if args[3] & MREMAP_FIXED:
            yield args[4], args[4] + args[2]
    elif name in ("munmap", "mprotect", "madvise") or (name == "mmap" and args[3] & MAP_FIXED):
        end = args[0] + args[1]
        if end <= limit or (name in ("mprotect", "madvise") and end < 1 << 64):
            yield args[0] & -PAGE, end


def _note_touched(touched: set[int], name: str, args: tuple[int, ...], result: int | None) -> None:
    """Remember the pages whose words are observed; moved pages at their old and their new place."""
    if name in ("store", "load"):
        # Watching an address without memory is cheap, and must stay cheap.
        touched.add(args[0] & -PAGE)
    elif name == "mremap" and is_address(result):
        assert result is not None
        old, length = args[0], args[1]
        touched |= {page - old + result for page in touched if old <= page < old + length}


def _words(process: Subject, touched: set[int]) -> dict[int, Words]:
    peek = process.peek
    return {page: (peek(page), peek(page + 8)) for page in touched}


# -- two runs --------------------------------------------------------------------------------------


def compare(
    program: Program, expected: Iterable[Observation], found: Iterable[Observation]
) -> Mismatch | None:
    """The first difference between two runs, or None. Both runs stop there."""
    results: list[int | None] = []
    others = iter(found)
    for number, (operation, one) in enumerate(zip(program, expected, strict=True)):
        results.append(one.result)
        try:
            other = next(others)
        except HostError:  # the computer's fault, not the model's
            raise
        except Exception as problem:
            note = f"{type(problem).__name__}: {problem}"
            return Mismatch(
                program, number, "error", operation.process, one, LEFT_OUT, tuple(results), note
            )
        difference = _difference(operation.process, one, other)
        if difference is not None:
            return Mismatch(program, number, *difference, one, other, tuple(results))
    return None


def _difference(process: int, one: Observation, other: Observation) -> tuple[str, int] | None:
    if one.result != other.result:
        return "result", process
    if one.areas.keys() != other.areas.keys():
        return "areas", process
    for whose, areas in one.areas.items():
        if [visible(area) for area in areas] != [visible(area) for area in other.areas[whose]]:
            return "areas", whose
    for whose, words in one.words.items():
        if words != other.words.get(whose):
            return "words", whose
    return None


@lru_cache(maxsize=100_000)
def visible(area: Area) -> Area:
    """The part of an area that is compared: its name only says whether it shows a file."""
    flags = None if area.flags is None else area.flags & COMPARED_FLAGS
    return Area(
        area.start, area.end, area.perms, area.offset, "/" * area.file.startswith("/"), flags
    )


def same_ends(before: list[Area], after: list[Area]) -> tuple[int, int]:
    """How many areas two lists have in common at their beginnings, and how many at their ends."""
    shorter = min(len(before), len(after))
    start = next((n for n in range(shorter) if before[n] != after[n]), shorter)
    shorter -= start
    end = next((n for n in range(shorter) if before[-1 - n] != after[-1 - n]), shorter)
    return start, end
