"""Random programs: what they are made of, and how often.

All choices go through one function, `choose(n)`, which gives a number below n. So the same code
makes programs from a seed (`numbered`) and as a hypothesis strategy (`programs`), for which the
first entry of each table is the simplest.

Most programs do not come from hypothesis: of 1,000 `programs(40)` only 550 to 625 were different,
with a third of the different operations, and each took 14 ms; `numbered` takes 0.4 ms and never
repeated itself. And program N of a seed can be made again without those before it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from mmlocks.conformance.program import (
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
    PROT_EXEC,
    PROT_GROWSDOWN,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
    Operation,
    Place,
    Program,
)
from mmlocks.conformance.sketch import (
    GUARD,
    HEAP,
    PLAIN,
    RW,
    STACK,
    Choose,
    Sketch,
    Spot,
    moved,
    pick,
    weighted,
)
from mmlocks.conformance.stories import story
from mmlocks.conformance.subject import FILE, FILE_PAGES

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

OPERATIONS = weighted(
    (22, "store"),
    (21, "mmap"),
    (15, "mprotect"),
    (11, "munmap"),
    (10, "mremap"),
    (5, "madvise"),
    (7, "brk"),
    (6, "load"),
    (3, "fork"),
)
PROTECTIONS = weighted(
    (60, RW),
    (16, PROT_READ),
    (8, PROT_NONE),
    (8, RW | PROT_EXEC),
    (4, PROT_READ | PROT_EXEC),
    (2, PROT_WRITE),
)
"""Not PROT_EXEC alone: whether that can be read depends on the processor (protection keys)."""
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
TELL_EVERY = 16
"""One in this many operations begins a story."""
WIDTHS = weighted((2, 5), (2, 8), (2, 16))
"""Pages of the arena that a program uses.

In a small one, nearly every area has touched neighbours.
"""
PAGES = weighted((26, 1), (22, 2), (14, 3), (9, 4), (4, 5), (4, 8), (2, 16), (1, 40))
HUGE_LENGTHS = weighted(
    (4, HUGE_PAGE),
    (2, 2 * HUGE_PAGE),
    (1, HUGE_PAGE + PAGE),
    (1, HUGE_PAGE - PAGE),
    (1, HUGE_PAGE + HUGE_PAGE // 2),
)
FILE_OFFSETS = weighted(
    *((1, page) for page in range(FILE_PAGES)), *((4, page) for page in (13, 14, 15))
)
"""In pages. Near the end of the file, as there is nothing behind it."""
ODD_LENGTHS = weighted(
    (3, 0), (4, PAGE + 1), (2, 100), (1, 1 << 47), (1, 2**64 - PAGE), (1, 2**64 - 1)
)
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

EDGES = weighted((8, 0), (5, 1), (3, 2), (3, -1), (1, -2))
"""Pages from one end of a spot: most things of interest happen at edges."""
FAR_BELOW = (100, 200, 290, 300, 310, 400, 560, 600, 1000, 2046, 2047, 2048, 2049, 2050, 2100, 5000)
STACK_PAGES = weighted(
    # A fresh stack has about 33 pages (an eighth of a MiB and a page); RLIMIT_STACK is usually
    # 2048.
    *((3, -page) for page in (1, 5, 20, 30)),
    *((2, -page) for page in range(31, 48)),
    *((1, -page) for page in FAR_BELOW),
)
HEAP_PAGES = weighted(
    *((2, page) for page in range(12)),
    *((1, page) for page in (-1, 12, 14, 16, 20, 24, 30, 31, 32, 33, 40, 300)),
)
ODD_PLACES = weighted(
    (2, Place("zero")),
    (2, Place("zero", 1)),
    (1, Place("zero", 15)),
    (1, Place("zero", 16)),
    (1, Place("zero", 17)),
    (2, Place("limit")),
    (1, Place("limit", -1)),
    (1, Place("limit", 5)),
    (1, Place("zero", -1)),
    (1, Place("zero", 1 << 35)),
)


def program(choose: Choose, operations: int) -> Program:
    """A random program of that many operations."""
    sketch = Sketch(pick(WIDTHS, choose), choose(2) == 0)
    return tuple(_operation(choose, sketch, number) for number in range(operations))


def numbered(seed: str, number: int, operations: int) -> Program:
    """Program `number` of a seed: the same each time, until the generator is changed."""
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


# -- one operation ---------------------------------------------------------------------------------


def _operation(choose: Choose, sketch: Sketch, number: int) -> Operation:
    if not sketch.planned and choose(TELL_EVERY) == TELL_EVERY - 1:
        sketch.planned = story(choose, sketch)
    if sketch.planned and choose(4) < 3:
        return _planned(sketch, number)
    name = pick(OPERATIONS, choose)
    process = pick(sketch.processes, choose)
    if name == "fork":
        return _fork(sketch, process)
    return Operation(name, process, WRITERS[name](choose, sketch, number))


def _planned(sketch: Sketch, number: int) -> Operation:
    """The next step of a story. Its spots are remembered, and its stores can be told apart."""
    operation = sketch.planned.pop(0)
    name, process, args = operation
    if name == "fork":
        return _fork(sketch, process)
    if name == "store":
        return Operation(name, process, (args[0], number + 1))
    if name == "mmap":
        sketch.add_mapped(args)
    return operation


def _fork(sketch: Sketch, process: int) -> Operation:
    child = sketch.next_child()
    if child is None:
        return NOTHING
    sketch.processes.append(child)
    return Operation("fork", process, (child,))


def _mmap(choose: Choose, sketch: Sketch, number: int) -> tuple[Place | int, ...]:
    kind, placement = PLAIN if sketch.simple else pick(KINDS, choose), pick(PLACEMENTS, choose)
    length, prot = _length(choose), _protection(choose, sketch)
    place = Place("zero") if placement == "anywhere" else _place(choose, sketch, 20)
    flags = kind | {"fixed": MAP_FIXED, "noreplace": MAP_FIXED_NOREPLACE}.get(placement, 0)
    if place.base != "limit" and kind & (MAP_PRIVATE | MAP_SHARED) and 0 < length < 1 << 40:
        sketch.add(number, place if placement == "fixed" else None, length, kind)
    if kind & MAP_ANONYMOUS:
        return place, length, prot, flags, 0, 0
    return place, length, prot, flags, FILE, pick(FILE_OFFSETS, choose) * PAGE


def _munmap(choose: Choose, sketch: Sketch, _number: int) -> tuple[Place | int, ...]:
    place, length = _range(choose, sketch)
    sketch.drop(place, length)
    return place, length


def _mprotect(choose: Choose, sketch: Sketch, _number: int) -> tuple[Place | int, ...]:
    if choose(30) == 29:
        stack = pick(sketch.of_kind(MAP_GROWSDOWN) or [STACK], choose)
        return moved(stack.place, choose(4)), PAGE, _protection(choose, sketch) | PROT_GROWSDOWN
    return *_range(choose, sketch), _protection(choose, sketch)


def _brk(choose: Choose, sketch: Sketch, _number: int) -> tuple[Place | int, ...]:
    place = Place("heap", pick(HEAP_PAGES, choose), _odd_byte(choose))
    if HEAP not in sketch.spots:
        sketch.spots.append(HEAP)
    return (place,)


def _mremap(choose: Choose, sketch: Sketch, number: int) -> tuple[Place | int, ...]:
    place, length = _range(choose, sketch)
    remap = pick(REMAPS, choose)
    new_length = length if choose(8) < (7 if remap & MREMAP_DONTUNMAP else 3) else _length(choose)
    new_place = _place(choose, sketch, 20) if remap & MREMAP_FIXED else Place("zero")
    shared = sketch.of_kind(MAP_SHARED)
    # No length asks for a second mapping of shared pages.
    if choose(10) == 9 and (shared or choose(3) == 2):
        place, length = (sketch.spot(choose, shared).place if shared else place), 0
    if remap & MREMAP_MAYMOVE and not remap & MREMAP_DONTUNMAP and length:
        sketch.drop(place, length)
    if 0 < new_length < 1 << 40:
        sketch.add(number, new_place if remap & MREMAP_FIXED else None, new_length)
    return place, length, new_length, remap, new_place


def _madvise(choose: Choose, sketch: Sketch, _number: int) -> tuple[Place | int, ...]:
    return *_range(choose, sketch), pick(ADVICES, choose)


def _store(choose: Choose, sketch: Sketch, number: int) -> tuple[Place | int, ...]:
    return _touched(choose, sketch), number + 1


def _load(choose: Choose, sketch: Sketch, _number: int) -> tuple[Place | int, ...]:
    return (_touched(choose, sketch),)


WRITERS: dict[str, Callable[[Choose, Sketch, int], tuple[Place | int, ...]]] = {
    "mmap": _mmap,
    "munmap": _munmap,
    "mprotect": _mprotect,
    "brk": _brk,
    "mremap": _mremap,
    "madvise": _madvise,
    "store": _store,
    "load": _load,
}


# -- where, and how much ---------------------------------------------------------------------------


def _protection(choose: Choose, sketch: Sketch) -> int:
    return pick(SIMPLE_PROTECTIONS if sketch.simple else PROTECTIONS, choose)


def _length(choose: Choose) -> int:
    """In bytes: mostly a few pages."""
    kind = choose(40)
    if kind < 36:
        return pick(PAGES, choose) * PAGE
    return pick(HUGE_LENGTHS if kind < 38 else ODD_LENGTHS, choose)


def _range(choose: Choose, sketch: Sketch) -> tuple[Place, int]:
    """A range to work on: now and then a whole spot, otherwise a few pages at an edge of one."""
    kind = choose(20)
    if sketch.spots and kind < 7:
        spot = sketch.spot(choose)
        return spot.place, max(spot.pages, 1) * PAGE
    if sketch.spots and kind < 14:
        spot = sketch.spot(choose)
        first = choose(max(spot.pages, 1))
        return moved(spot.place, first), (1 + choose(max(spot.pages - first, 1))) * PAGE
    return _place(choose, sketch, 29), _length(choose)


def _place(choose: Choose, sketch: Sketch, spots: int) -> Place:
    """A page. Of 42 such pages, `spots` are at the edges of spots."""
    kind = choose(42)
    if kind < spots and sketch.spots:
        spot = sketch.spot(choose)
        place = _edge(choose, spot)
        # As near below the stack as is allowed, or a little nearer.
        if spot.kind & MAP_GROWSDOWN and choose(3) == 0:
            place = moved(spot.place, -GUARD - choose(10))
    elif kind < 34:
        place = Place("arena", choose(sketch.width))
    elif kind < 35:  # crosses page tables, and a huge page's alignment
        place = Place("arena", (choose(3) + 1) * 512 + choose(5) - 2)
    elif kind < 37:
        place = Place("heap", pick(HEAP_PAGES, choose))
    elif kind < 39:
        place = Place("stack", pick(STACK_PAGES, choose))
    else:
        return pick(ODD_PLACES, choose)
    return place._replace(byte=_odd_byte(choose))


def _touched(choose: Choose, sketch: Sketch) -> Place:
    """A word's address.

    Only words 0 and 1 of a page are ever touched: no word lies in two pages.
    """
    return _touched_page(choose, sketch)._replace(byte=8 * (choose(4) == 3))


def _touched_page(choose: Choose, sketch: Sketch) -> Place:
    kind = choose(20)
    if kind < 18 and sketch.spots:
        files = [spot for spot in sketch.spots if not spot.kind & (MAP_ANONYMOUS | MAP_GROWSDOWN)]
        stacks = sketch.of_kind(MAP_GROWSDOWN)
        if kind == 17 and stacks:
            return moved(sketch.spot(choose, stacks).place, -1 - choose(8))
        spot = sketch.spot(choose, files if kind == 16 else None)
        if spot.kind & MAP_GROWSDOWN and choose(2) == 0:
            return moved(spot.place, -1 - choose(8))
        return moved(spot.place, choose(max(1, min(spot.pages, 5))))
    if kind < 18:
        return Place("arena", choose(sketch.width))
    if kind < 19:
        return Place("heap", pick(HEAP_PAGES, choose))
    return Place("stack", pick(STACK_PAGES, choose))


def _edge(choose: Choose, spot: Spot) -> Place:
    """A page near the start or the end of a spot."""
    away = pick(EDGES, choose)
    return moved(spot.place, away if choose(2) == 0 else spot.pages - away)


def _odd_byte(choose: Choose) -> int:
    """A byte in a page, nearly always 0: the kernel rounds some addresses, and refuses others."""
    return 0 if choose(45) < 44 else 1 + choose(PAGE - 1)
