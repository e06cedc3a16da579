"""Makes a program that shows a mismatch smaller, while it still shows one of the same kind.

It takes operations out, then makes the others simpler, and keeps every change that works. That is
greedy, and does well here: places are symbolic, so the other operations keep their meaning.
(Compared with hypothesis on the mismatches of incomplete models: as small or smaller, in a
twentieth of the time, and without another package.)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from mmlocks.conformance.compare import Mismatch
from mmlocks.conformance.program import (
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_PRIVATE,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
    NOTHING,
    PAGE,
    PARAMETERS,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
    Operation,
    Place,
    Program,
    is_result,
)

Run = Callable[[Program], Mismatch | None]
SECONDS = 60.0
"""Seconds after which to stop; a program of forty operations takes a second or two."""

SIMPLER: dict[str, tuple[int, ...]] = {
    "length": (PAGE, 2 * PAGE, 3 * PAGE, 4 * PAGE),
    "new_length": (PAGE, 2 * PAGE, 3 * PAGE, 4 * PAGE),
    "prot": (PROT_READ | PROT_WRITE, PROT_READ, PROT_NONE),
    "flags": (MAP_PRIVATE | MAP_ANONYMOUS, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED),
    "remap": (MREMAP_MAYMOVE, MREMAP_MAYMOVE | MREMAP_FIXED),
    "file": (0,),
    "offset": (0,),
    "value": (1,),
}
"""The values to try for a parameter, the simplest first.

A value is never replaced by a later one.
"""
PAGES_TRIED = 8


def shrink(mismatch: Mismatch, run: Run, seconds: float = SECONDS) -> Mismatch:
    """A mismatch of the same kind with a smaller program, or the same mismatch.

    Of the same kind: it differs in the same respect, after the same operation.

    `run` carries out a program and compares. Ctrl-C ends the search with the best one found so far.
    """
    search = _Search(mismatch, run, time.monotonic() + seconds)
    try:
        while (
            search.fewer_operations() or search.simpler_operations() or search.nearer_to_the_start()
        ):
            pass
    except (KeyboardInterrupt, _OutOfTime):
        pass
    return search.best


class _OutOfTime(Exception):
    pass


class _Search:
    def __init__(self, mismatch: Mismatch, run: Run, until: float) -> None:
        self.best = mismatch
        self._run = run
        self._until = until
        self._cut()

    @property
    def program(self) -> Program:
        return self.best.program

    def _cut(self) -> None:
        """Drop what comes after the mismatch: it was never carried out."""
        self.best = self.best._replace(program=self.program[: self.best.number + 1])

    def _works(self, program: Program) -> bool:
        """Whether a program shows the same kind of mismatch; if so, keep it as the best."""
        if time.monotonic() > self._until:
            raise _OutOfTime
        found = self._run(program)
        if found is None or found.what != self.best.what:
            return False
        if found.program[found.number].name != self.program[self.best.number].name:
            return False  # another bug, which might be easier to find, and would hide this one
        self.best = found
        self._cut()
        return True

    def fewer_operations(self) -> bool:
        """Take out halves, quarters, ... and single operations; True if any was not needed."""
        helped = False
        length = len(self.program)
        while length := length // 2:
            at = 0
            while at < len(self.program):
                part = self.program[at : at + length]
                rest = (NOTHING,) * len(part)
                if part != rest and self._works(
                    self.program[:at] + rest + self.program[at + length :]
                ):
                    helped = True
                at += length
        return helped

    def simpler_operations(self) -> bool:
        """Try simpler processes and arguments, one at a time; True if any would do."""
        helped = False
        for number in range(len(self.program)):
            position = 0
            while number < len(self.program) and position <= len(self.program[number].args):
                for simpler in _simpler(self.program[number], position):
                    if self._works((*self.program[:number], simpler, *self.program[number + 1 :])):
                        helped = True
                        break
                position += 1
        return helped

    def nearer_to_the_start(self) -> bool:
        """Move all places in the arena down together; True if that was possible."""
        pages = [
            arg.page
            for operation in self.program
            for arg in operation.args
            if isinstance(arg, Place) and arg.base == "arena"
        ]
        down = min(pages, default=0)
        return down > 0 and self._works(
            tuple(_moved(operation, down) for operation in self.program)
        )


def _simpler(operation: Operation, position: int) -> Iterator[Operation]:
    """An operation with a simpler value for the argument at a position.

    The position after the last argument is the process.
    """
    if position == len(operation.args):
        for process in range(operation.process):
            yield operation._replace(process=process)
        return
    value, parameter = operation.args[position], PARAMETERS[operation.name][position]
    before, after = operation.args[:position], operation.args[position + 1 :]
    for candidate in (
        _simpler_places(value) if isinstance(value, Place) else SIMPLER.get(parameter, ())
    ):
        if candidate == value:
            return
        yield operation._replace(args=(*before, candidate, *after))


def _simpler_places(place: Place) -> Iterator[Place]:
    if place.base != "zero":
        yield Place("zero")
    if place.base not in ("zero", "arena"):
        for page in range(PAGES_TRIED):
            yield Place("arena", page)
    if is_result(place.base):  # of what was returned twice, the first time is enough
        for number in range(int(place.base[1:])):
            yield Place(f"r{number}", place.page)
    step = 1 if place.page > 0 else -1
    for page in range(0, place.page, step)[:PAGES_TRIED]:
        yield Place(place.base, page)
    yield place._replace(byte=0)


def _moved(operation: Operation, down: int) -> Operation:
    return operation._replace(
        args=tuple(
            arg._replace(page=arg.page - down)
            if isinstance(arg, Place) and arg.base == "arena"
            else arg
            for arg in operation.args
        )
    )
