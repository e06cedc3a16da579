"""The memory of the generator while it writes a program: what it chose, and where it put things."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from mmlocks.conformance.program import (
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_GROWSDOWN,
    MAP_PRIVATE,
    PAGE,
    PROCESSES,
    PROT_READ,
    PROT_WRITE,
    Operation,
    Place,
)

Choose = Callable[[int], int]
"""`choose(n)`: a number from 0 to n - 1, each as likely as the others; 0 is the simplest."""
Value = TypeVar("Value")

RW = PROT_READ | PROT_WRITE
PLAIN = MAP_PRIVATE | MAP_ANONYMOUS
GUARD = 256
"""stack_guard_gap in pages: the kernel's default."""


def weighted(*entries: tuple[int, Value]) -> tuple[Value, ...]:
    """A table to choose from, in which each value stands as often as its weight says."""
    return tuple(value for weight, value in entries for _ in range(weight))


def pick(table: tuple[Value, ...] | list[Value], choose: Choose) -> Value:
    """An entry of a table."""
    return table[choose(len(table))]


def moved(place: Place, pages: int) -> Place:
    """A place some pages further on."""
    return place._replace(page=place.page + pages)


class Spot(NamedTuple):
    """A range where the program mapped memory. The call may have failed, or the memory be gone."""

    place: Place
    pages: int
    kind: int = PLAIN


STACK = Spot(Place("stack", -33), 33, MAP_GROWSDOWN)
HEAP = Spot(Place("heap", 0), 4)


@dataclass
class Sketch:
    """The generator's notes on the program that it is writing."""

    width: int
    """Pages of the arena that are used."""
    simple: bool
    """Whether there is only private anonymous memory, in which areas that are alike merge."""
    spots: list[Spot] = field(default_factory=list)
    processes: list[int] = field(default_factory=lambda: [0])
    planned: list[Operation] = field(default_factory=list)
    """The rest of a story (mmlocks.conformance.stories). Other operations may come in between."""

    def add(self, number: int, place: Place | None, length: int, kind: int = PLAIN) -> None:
        """Remember what operation `number` mapped, at a place or (None) where the kernel chose."""
        pages = min(length // PAGE, 2048)
        self.spots.append(Spot((place or Place(f"r{number}"))._replace(byte=0), pages, kind))

    def add_mapped(self, args: tuple[Place | int, ...]) -> None:
        """Remember what an mmap to a fixed place maps, by its arguments."""
        match args:
            case (Place() as place, int(length), int(), int(flags), *_):
                self.spots.append(Spot(place, length // PAGE, flags & ~MAP_FIXED))

    def drop(self, place: Place, length: int) -> None:
        """Forget a spot that is gone.

        Spots of which a part is gone stay: their new edges are of interest.
        """
        self.spots = [
            spot for spot in self.spots if spot.place != place or spot.pages * PAGE > length
        ]

    def of_kind(self, kind: int) -> list[Spot]:
        """The spots with one of those flags."""
        return [spot for spot in self.spots if spot.kind & kind]

    def spot(self, choose: Choose, spots: list[Spot] | None = None) -> Spot:
        """One of those spots, or of all; in half of the cases one of the latest."""
        spots = spots or self.spots
        if choose(2) == 0:
            return spots[-1 - choose(min(3, len(spots)))]
        return pick(spots, choose)

    def next_child(self) -> int | None:
        """The number of a process that may still be forked."""
        return len(self.processes) if len(self.processes) < PROCESSES else None
