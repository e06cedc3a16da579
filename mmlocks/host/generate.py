"""Random programs: what they are made of, and how often.

A program is written with one function, `choose(n)`, which gives a number below n. So the same text makes programs from a seed
(`numbered`) and as a hypothesis strategy (`programs`), where the first entry of each table is the simplest.

Why the bulk does not come from hypothesis: `programs(40)` took 13 ms a program, `numbered` takes 0.4 ms; program number N of a seed can be
made again without those before it, on however many processor cores they were run; and hypothesis need not be installed. What it does
best, making a program smaller, is left to it (mmlocks.host.shrink).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from mmlocks.host.program import (
    HUGE_PAGE,
    MADV_DONTNEED,
    MADV_UNKNOWN,
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_GROWSDOWN,
    MAP_NORESERVE,
    MAP_PRIVATE,
    MAP_SHARED,
    MREMAP_DONTUNMAP,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
    NOTHING,
    PAGE,
    PROCESSES,
    PROT_EXEC,
    PROT_GROWSDOWN,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
    Operation,
    Place,
    Program,
)
from mmlocks.host.subject import FILE, FILE_PAGES

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

Choose = Callable[[int], int]
"""`choose(n)`: a number from 0 to n - 1, all as likely; 0 is the simplest."""
Value = TypeVar("Value")


def weighted(*entries: tuple[int, Value]) -> tuple[Value, ...]:
    """A table to choose from, in which each value stands as often as its weight says."""
    return tuple(value for weight, value in entries for _ in range(weight))


RW = PROT_READ | PROT_WRITE
OPERATIONS = weighted(
    (22, "store"), (21, "mmap"), (15, "mprotect"), (11, "munmap"), (10, "mremap"), (5, "madvise"), (7, "brk"), (6, "load"), (3, "fork"),
)  # fmt: skip
PROTECTIONS = weighted(
    (60, RW), (16, PROT_READ), (8, PROT_NONE), (8, RW | PROT_EXEC), (4, PROT_READ | PROT_EXEC), (2, PROT_WRITE), (2, PROT_EXEC),
)  # fmt: skip
SIMPLE_PROTECTIONS = weighted((5, RW), (3, PROT_READ), (1, RW | PROT_EXEC))
KINDS = weighted(
    (78, MAP_PRIVATE | MAP_ANONYMOUS),
    (8, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN),
    (4, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE),
    (4, MAP_SHARED | MAP_ANONYMOUS),
    (4, MAP_PRIVATE),
    (2, MAP_SHARED),
    # nonsense: neither private nor shared
    (1, MAP_ANONYMOUS),
)
PLACEMENTS = weighted((11, "fixed"), (6, "anywhere"), (5, "hint"), (1, "noreplace"))
WIDTHS = weighted((2, 5), (2, 8), (2, 16))
"""Pages of the arena that a program plays in. In a small one, nearly everything has neighbours that were touched."""
PAGES = weighted((26, 1), (22, 2), (14, 3), (9, 4), (4, 5), (4, 8), (2, 16), (1, 40))
HUGE_LENGTHS = weighted(
    (4, HUGE_PAGE), (2, 2 * HUGE_PAGE), (1, HUGE_PAGE + PAGE), (1, HUGE_PAGE - PAGE), (1, HUGE_PAGE + HUGE_PAGE // 2),
)  # fmt: skip
FILE_OFFSETS = weighted(*((1, page) for page in range(FILE_PAGES)), *((4, page) for page in (13, 14, 15)))
"""In pages. Near the end of the file, as there is nothing behind it."""
ODD_LENGTHS = weighted((3, 0), (4, PAGE + 1), (2, 100), (1, 1 << 47), (1, 2**64 - PAGE), (1, 2**64 - 1))
REMAPS = weighted(
    (10, MREMAP_MAYMOVE),
    (8, MREMAP_MAYMOVE | MREMAP_FIXED),
    (4, 0),
    (4, MREMAP_MAYMOVE | MREMAP_DONTUNMAP),
    (2, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP),
    # nonsense: a place, or to keep the old one, without moving
    (1, MREMAP_FIXED),
    (1, MREMAP_DONTUNMAP),
)
ADVICES = weighted((30, MADV_DONTNEED), (1, MADV_UNKNOWN))

GUARD = 256
"""stack_guard_gap in pages, as it is unless it was changed at boot."""
EDGES = weighted((8, 0), (5, 1), (3, 2), (3, -1), (1, -2))
"""Pages from one end of a spot: most things of interest happen at edges."""
STACK_PAGES = weighted(
    # A fresh stack has about 33 pages (an eighth of a MiB and a page); RLIMIT_STACK is usually 2048.
    *((3, -page) for page in (1, 5, 20, 30)),
    *((2, -page) for page in range(31, 48)),
    *((1, -page) for page in (100, 200, 290, 300, 310, 400, 560, 600, 1000, 2046, 2047, 2048, 2049, 2050, 2100, 5000)),
)  # fmt: skip
HEAP_PAGES = weighted(
    *((2, page) for page in range(12)),
    *((1, page) for page in (-1, 12, 14, 16, 20, 24, 30, 31, 32, 33, 40, 300)),
)
ODD_PLACES = weighted(
    (2, Place("zero")), (2, Place("zero", 1)), (1, Place("zero", 15)), (1, Place("zero", 16)), (1, Place("zero", 17)),
    (2, Place("limit")), (1, Place("limit", -1)), (1, Place("limit", 5)), (1, Place("zero", -1)), (1, Place("zero", 1 << 35)),
)  # fmt: skip


PLAIN = MAP_PRIVATE | MAP_ANONYMOUS


class Spot(NamedTuple):
    """Where something was made, as far as the one who writes the program knows: it may have failed, or be gone by now."""

    place: Place
    pages: int
    kind: int = PLAIN


STACK = Spot(Place("stack", -33), 33, MAP_GROWSDOWN)
HEAP = Spot(Place("heap", 0), 4)


@dataclass
class Sketch:
    """What the writer of a program remembers of what it has written."""

    width: int
    """Pages of the arena that are used."""
    simple: bool
    """Only private anonymous memory: half of all programs, since whatever is alike can merge."""
    spots: list[Spot] = field(default_factory=list)
    processes: list[int] = field(default_factory=lambda: [0])

    def add(self, number: int, place: Place | None, length: int, kind: int = PLAIN) -> None:
        """Remember that operation `number` made something, at that place or (None) where the kernel chose."""
        pages = min(length // PAGE, 2048)
        self.spots.append(Spot((place or Place(f"r{number}"))._replace(byte=0), pages, kind))

    def drop(self, place: Place, length: int) -> None:
        """Forget a spot that has gone. Others stay, though parts of them may be gone: those are edges, too."""
        self.spots = [spot for spot in self.spots if spot.place != place or spot.pages * PAGE > length]

    def of_kind(self, kind: int) -> list[Spot]:
        """The spots with one of those flags."""
        return [spot for spot in self.spots if spot.kind & kind]


def program(choose: Choose, operations: int) -> Program:
    """A random program of that many operations."""
    sketch = Sketch(_of(WIDTHS, choose), choose(2) == 0)
    return tuple(_operation(choose, sketch, number) for number in range(operations))


def numbered(seed: str, number: int, operations: int) -> Program:
    """Program `number` of a seed. The same for ever, as long as this file is not changed."""
    uniform = random.Random(f"{seed}/{number}").random
    return program(lambda count: int(uniform() * count), operations)


def programs(operations: int) -> SearchStrategy[Program]:
    """The same programs as a hypothesis strategy. Needs hypothesis."""
    from hypothesis import strategies

    numbers: dict[int, SearchStrategy[int]] = {}

    @strategies.composite
    def drawn(draw: Callable[[SearchStrategy[int]], int]) -> Program:
        def choose(count: int) -> int:
            if count not in numbers:
                numbers[count] = strategies.integers(0, count - 1)
            return draw(numbers[count])

        return program(choose, operations)

    return drawn()


# -- one operation ----------------------------------------------------------------------------------------------------


def _operation(choose: Choose, sketch: Sketch, number: int) -> Operation:
    name = _of(OPERATIONS, choose)
    process = sketch.processes[choose(len(sketch.processes))]
    if name == "fork":
        return _fork(sketch, process)
    return Operation(name, process, WRITERS[name](choose, sketch, number))


def _fork(sketch: Sketch, process: int) -> Operation:
    child = len(sketch.processes)
    if child == PROCESSES:
        return NOTHING
    sketch.processes.append(child)
    return Operation("fork", process, (child,))


def _mmap(choose: Choose, sketch: Sketch, number: int) -> tuple[Place | int, ...]:
    kind, placement = PLAIN if sketch.simple else _of(KINDS, choose), _of(PLACEMENTS, choose)
    length, prot = _length(choose), _protection(choose, sketch)
    place = Place("zero") if placement == "anywhere" else _place(choose, sketch, 20)
    if kind & MAP_GROWSDOWN and choose(4) > 0:
        place, placement = _near_guard(choose, sketch, place), "fixed"
    flags = kind | {"fixed": MAP_FIXED, "noreplace": MAP_FIXED_NOREPLACE}.get(placement, 0)
    if place.base != "limit" and kind & (MAP_PRIVATE | MAP_SHARED) and 0 < length < 1 << 40:
        sketch.add(number, place if placement == "fixed" else None, length, kind)
    if kind & MAP_ANONYMOUS:
        return place, length, prot, flags, 0, 0
    return place, length, prot, flags, FILE, _of(FILE_OFFSETS, choose) * PAGE


def _munmap(choose: Choose, sketch: Sketch, _number: int) -> tuple[Place | int, ...]:
    place, length = _range(choose, sketch)
    sketch.drop(place, length)
    return place, length


def _mprotect(choose: Choose, sketch: Sketch, _number: int) -> tuple[Place | int, ...]:
    if choose(30) == 29:
        stack = _of(tuple(sketch.of_kind(MAP_GROWSDOWN)) or (STACK,), choose)
        return _moved(stack.place, choose(4)), PAGE, _protection(choose, sketch) | PROT_GROWSDOWN
    return *_range(choose, sketch), _protection(choose, sketch)


def _brk(choose: Choose, sketch: Sketch, _number: int) -> tuple[Place | int, ...]:
    place = Place("heap", _of(HEAP_PAGES, choose), _odd_byte(choose))
    if HEAP not in sketch.spots:
        sketch.spots.append(HEAP)
    return (place,)


def _mremap(choose: Choose, sketch: Sketch, number: int) -> tuple[Place | int, ...]:
    place, length = _range(choose, sketch)
    remap = _of(REMAPS, choose)
    new_length = length if choose(8) < (7 if remap & MREMAP_DONTUNMAP else 3) else _length(choose)
    new_place = _place(choose, sketch, 20) if remap & MREMAP_FIXED else Place("zero")
    shared = sketch.of_kind(MAP_SHARED)
    if choose(10) == 9 and (shared or choose(3) == 2):  # no length asks for a second mapping of shared pages
        place, length = (_spot_of(shared, choose).place if shared else place), 0
    if remap & MREMAP_MAYMOVE and not remap & MREMAP_DONTUNMAP and length:
        sketch.drop(place, length)
    if 0 < new_length < 1 << 40:
        sketch.add(number, new_place if remap & MREMAP_FIXED else None, new_length)
    return place, length, new_length, remap, new_place


def _madvise(choose: Choose, sketch: Sketch, _number: int) -> tuple[Place | int, ...]:
    return *_range(choose, sketch), _of(ADVICES, choose)


def _store(choose: Choose, sketch: Sketch, number: int) -> tuple[Place | int, ...]:
    return _touched(choose, sketch), number + 1


def _load(choose: Choose, sketch: Sketch, _number: int) -> tuple[Place | int, ...]:
    return (_touched(choose, sketch),)


WRITERS: dict[str, Callable[[Choose, Sketch, int], tuple[Place | int, ...]]] = {
    "mmap": _mmap, "munmap": _munmap, "mprotect": _mprotect, "brk": _brk, "mremap": _mremap, "madvise": _madvise,
    "store": _store, "load": _load,
}  # fmt: skip


# -- where, and how much ----------------------------------------------------------------------------------------------


def _of(table: tuple[Value, ...], choose: Choose) -> Value:
    return table[choose(len(table))]


def _protection(choose: Choose, sketch: Sketch) -> int:
    return _of(SIMPLE_PROTECTIONS if sketch.simple else PROTECTIONS, choose)


def _length(choose: Choose) -> int:
    """In bytes: mostly a few pages."""
    kind = choose(40)
    if kind < 36:
        return _of(PAGES, choose) * PAGE
    return _of(HUGE_LENGTHS if kind < 38 else ODD_LENGTHS, choose)


def _range(choose: Choose, sketch: Sketch) -> tuple[Place, int]:
    """Something to work on: now and then a whole spot, otherwise a few pages at an edge of one."""
    kind = choose(20)
    if sketch.spots and kind < 7:
        spot = _spot_of(sketch.spots, choose)
        return spot.place, max(spot.pages, 1) * PAGE
    if sketch.spots and kind < 14:
        spot = _spot_of(sketch.spots, choose)
        first = choose(max(spot.pages, 1))
        return _moved(spot.place, first), (1 + choose(max(spot.pages - first, 1))) * PAGE
    return _place(choose, sketch, 29), _length(choose)


def _place(choose: Choose, sketch: Sketch, spots: int) -> Place:
    """A page; of 42 such places, so many are at the edges of spots."""
    kind = choose(42)
    if kind < spots and sketch.spots:
        spot = _spot_of(sketch.spots, choose)
        place = _edge(choose, spot)
        if spot.kind & MAP_GROWSDOWN and choose(3) == 0:  # as near below it as may be, or a little nearer
            place = _moved(spot.place, -GUARD - choose(10))
    elif kind < 34:
        place = Place("arena", choose(sketch.width))
    elif kind < 35:  # crosses page tables, and a huge page's alignment
        place = Place("arena", (choose(3) + 1) * 512 + choose(5) - 2)
    elif kind < 37:
        place = Place("heap", _of(HEAP_PAGES, choose))
    elif kind < 39:
        place = Place("stack", _of(STACK_PAGES, choose))
    else:
        return _of(ODD_PLACES, choose)
    return place._replace(byte=_odd_byte(choose))


def _touched(choose: Choose, sketch: Sketch) -> Place:
    """A word's address. Only words 0 and 1 of a page are ever touched: no word lies in two pages."""
    return _touched_page(choose, sketch)._replace(byte=8 * (choose(4) == 3))


def _touched_page(choose: Choose, sketch: Sketch) -> Place:
    kind = choose(20)
    if kind < 18 and sketch.spots:
        files = [spot for spot in sketch.spots if not spot.kind & (MAP_ANONYMOUS | MAP_GROWSDOWN)]
        stacks = sketch.of_kind(MAP_GROWSDOWN)
        if kind == 17 and stacks:
            return _below(choose, sketch, _spot_of(stacks, choose))
        spot = _spot_of(files if kind == 16 and files else sketch.spots, choose)
        if spot.kind & MAP_GROWSDOWN and choose(2) == 0:
            return _below(choose, sketch, spot)
        return _moved(spot.place, choose(max(1, min(spot.pages, 5))))
    if kind < 18:
        return Place("arena", choose(sketch.width))
    if kind < 19:
        return Place("heap", _of(HEAP_PAGES, choose))
    return Place("stack", _of(STACK_PAGES, choose))


def _near_guard(choose: Choose, sketch: Sketch, otherwise: Place) -> Place:
    """Where something that grows down would meet the guard gap soon: above a spot, or above the heap (brk keeps the gap, too)."""
    if choose(4) == 0:
        return Place("heap", GUARD + choose(14))
    if sketch.spots:
        spot = _spot_of(sketch.spots, choose)
        if spot.place.base != "stack":
            return _moved(spot.place, spot.pages + GUARD + choose(5))
    return otherwise


def _below(choose: Choose, sketch: Sketch, stack: Spot) -> Place:
    """Where a stack would have to grow to: a little, or as near as it may come to what lies below it, a page more or less."""
    neighbours = [
        spot
        for spot in sketch.spots
        if spot.place.base == stack.place.base
        and 0 < stack.place.page - (spot.place.page + spot.pages) < GUARD + 32
    ]
    if neighbours and choose(3) > 0:
        spot = neighbours[choose(len(neighbours))]
        return _moved(spot.place, spot.pages + GUARD + choose(3) - 1)
    return _moved(stack.place, -1 - choose(8))


def _spot_of(spots: list[Spot], choose: Choose) -> Spot:
    """One of the spots; one of the latest as often as any other."""
    if choose(2) == 0:
        return spots[-1 - choose(min(3, len(spots)))]
    return spots[choose(len(spots))]


def _edge(choose: Choose, spot: Spot) -> Place:
    """A page near the start or the end of a spot."""
    away = _of(EDGES, choose)
    return _moved(spot.place, away if choose(2) == 0 else spot.pages - away)


def _moved(place: Place, pages: int) -> Place:
    return place._replace(page=place.page + pages)


def _odd_byte(choose: Choose) -> int:
    """Nearly always 0; the kernel rounds some addresses, and refuses others."""
    return 0 if choose(60) < 59 else 1 + choose(PAGE - 1)


def counted(programs: Iterable[Program]) -> tuple[int, int]:
    """How many different programs there are, and how many operations they have together."""
    different = set(programs)
    return len(different), sum(len(one) for one in different)
