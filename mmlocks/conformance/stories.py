"""Short stories between random operations: events that need several steps in a row.

They would hardly ever happen by chance.

Each returns operations in order. The generator leaves some out, and puts others in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mmlocks.conformance.program import (
    MADV_DONTNEED,
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_GROWSDOWN,
    MAP_NORESERVE,
    MAP_PRIVATE,
    MAP_SHARED,
    MREMAP_DONTUNMAP,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
    PAGE,
    PROT_EXEC,
    PROT_NONE,
    PROT_READ,
    Operation,
    Place,
)
from mmlocks.conformance.sketch import GUARD, PLAIN, RW, Choose, Sketch, moved, pick, weighted
from mmlocks.conformance.subject import FILE, FILE_PAGES

ORDERS = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
NEARLY_ALIKE = weighted(
    (5, (PLAIN, RW)),
    (1, (PLAIN, PROT_READ)),
    (3, (PLAIN, RW | PROT_EXEC)),
    (2, (PLAIN | MAP_NORESERVE, RW)),
)
KINDS_BELOW = weighted(
    (5, (PLAIN, RW)),
    (1, (PLAIN, PROT_NONE)),
    (1, (PLAIN | MAP_GROWSDOWN, RW)),
)


class _Who:
    """Chooses the process for each step: one that exists, or a child that the story forks."""

    def __init__(self, choose: Choose, sketch: Sketch) -> None:
        self._choose = choose
        self._there = list(sketch.processes)
        self._child = sketch.next_child() if choose(3) == 0 else None
        self._first = pick(self._there, choose)

    def __call__(self) -> int:
        """The process for the next step: the same one, until it has forked."""
        return self._first if self._first in self._there else pick(self._there, self._choose)

    def fork(self) -> Iterator[Operation]:
        """Perhaps fork. From then on, parent or child does the next step."""
        if self._child is not None and self._choose(3) == 0:
            yield Operation("fork", self._first, (self._child,))
            self._there, self._first, self._child = [self._first, self._child], -1, None


def _mmap(who: int, place: Place, pages: int, kind: int = PLAIN, prot: int = RW) -> Operation:
    return Operation("mmap", who, (place, pages * PAGE, prot, kind | MAP_FIXED, 0, 0))


def _store(who: int, place: Place) -> Operation:
    return Operation("store", who, (place, 1))


def row(choose: Choose, sketch: Sketch) -> Iterator[Operation]:
    """Three areas next to each other, made and touched in any order, then made alike.

    What merges depends on the order of touches. A first touch takes over a neighbour's anon_vma,
    the next one's before the previous one's, unless it was inherited; and three become one only if
    all of them agree.
    """
    who = _Who(choose, sketch)
    pages = [1 + choose(2) for _ in range(3)]
    first = Place("arena", choose(sketch.width))
    places = [first, moved(first, pages[0]), moved(first, pages[0] + pages[1])]
    touched: list[int] = []
    for n in pick(ORDERS, choose):
        yield _mmap(who(), places[n], pages[n], *pick(NEARLY_ALIKE, choose))
        yield from who.fork()
        if choose(2):
            yield _store(who(), places[n])
        else:
            touched.append(n)
    for n in touched:
        if choose(3):
            yield _store(who(), places[n])
    yield from who.fork()
    for n in pick(ORDERS, choose):
        if choose(3) == 0:
            yield _mmap(who(), places[n], pages[n])
        elif choose(4):
            yield Operation("mprotect", who(), (places[n], pages[n] * PAGE, RW))


def near_the_guard(choose: Choose, sketch: Sketch) -> Iterator[Operation]:
    """A stack, and below it an area that it must not come near: touches at the very limit."""
    who = _Who(choose, sketch)
    pages = 1 + choose(3)
    neighbour = (
        Place("arena", choose(sketch.width)) if choose(3) else Place("stack", -300 - choose(20))
    )
    yield _mmap(who(), neighbour, pages, *pick(KINDS_BELOW, choose))
    stack, size = moved(neighbour, pages + GUARD + choose(9)), 1 + choose(3)
    if neighbour.base == "arena":
        yield _mmap(who(), stack, size, PLAIN | MAP_GROWSDOWN)
    yield from who.fork()
    access = choose(3)
    for _ in range(3):
        touched = moved(neighbour, pages + GUARD + choose(4) - 2)
        yield Operation("load", who(), (touched,)) if access == 2 else _store(who(), touched)
    # An area that has grown has an anon_vma, even if it was only read, and its pages still count
    # from the same place.
    ending = choose(4)
    if ending == 0:
        yield Operation("munmap", who(), (neighbour, PAGE))
    elif ending == 1:
        yield Operation("mprotect", who(), (stack, size * PAGE, PROT_READ))
    elif ending == 2:
        yield _mmap(who(), moved(stack, size), 1, PLAIN | MAP_GROWSDOWN)


def heap_near_the_guard(choose: Choose, sketch: Sketch) -> Iterator[Operation]:
    """A heap that grows towards an area: brk needs a free page before it, more before a stack."""
    who = _Who(choose, sketch)
    page, grows = 3 + choose(8), choose(2)
    neighbour = Place("heap", page + GUARD * grows)
    yield _mmap(who(), neighbour, 1 + choose(2), PLAIN | MAP_GROWSDOWN * grows)
    for _ in range(3):
        yield Operation("brk", who(), (Place("heap", page + choose(4) - 3),))
        yield _store(who(), Place("heap", choose(page)))
        yield from who.fork()


def heap_in_pieces(choose: Choose, sketch: Sketch) -> Iterator[Operation]:
    """A heap that loses a piece, or changes in part, or is forked, before it grows again.

    Then it grows in its area, or into a new one.
    """
    who = _Who(choose, sketch)
    page = 1 + choose(5)
    yield Operation("brk", who(), (Place("heap", page),))
    if choose(3):
        yield _store(who(), Place("heap", page - 1))
    yield from who.fork()
    change = choose(4)
    if change == 0:
        yield Operation("munmap", who(), (Place("heap", page - 1), PAGE))
    elif change == 1:
        yield Operation("mprotect", who(), (Place("heap", page - 1), PAGE, PROT_READ))
    elif change == 2:
        yield _mmap(who(), Place("heap", page - 1), 1)
    for _ in range(2):
        page += 1 + choose(2)
        yield Operation("brk", who(), (Place("heap", page),))
        yield _store(who(), Place("heap", page - 1))
    yield Operation("brk", who(), (Place("heap", choose(page)),))


def there_and_back(choose: Choose, sketch: Sketch) -> Iterator[Operation]:
    """Memory that moves beside memory like it, and home again.

    It merges if it was never touched, or where its pages belong.
    """
    who = _Who(choose, sketch)
    pages = 1 + choose(3)
    home, away = Place("arena", choose(sketch.width)), Place("arena", sketch.width + 8 + choose(3))
    flags = MREMAP_MAYMOVE | MREMAP_FIXED | (MREMAP_DONTUNMAP if choose(4) == 3 else 0)
    yield _mmap(who(), home, pages + choose(2))
    if choose(3):
        yield _store(who(), home)
    for side in (-1, pages) if choose(2) else (pages, -1):
        if choose(2):
            yield _mmap(who(), moved(away, side), 1)
            if choose(2):
                yield _store(who(), moved(away, side))
    yield from who.fork()
    yield Operation("mremap", who(), (home, pages * PAGE, pages * PAGE, flags, away))
    if choose(2):
        yield _store(who(), pick((home, away), choose))
    if choose(2):
        yield _mmap(who(), moved(home, pages), 1)
    yield Operation(
        "mremap", who(), (away, pages * PAGE, pages * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, home)
    )
    yield _store(who(), home)


def pages_of_a_file(choose: Choose, sketch: Sketch) -> Iterator[Operation]:
    """Shared or private pages of a file, also behind its end, or of shared anonymous memory."""
    who = _Who(choose, sketch)
    place, pages, offset = (
        Place("arena", choose(sketch.width)),
        1 + choose(4),
        FILE_PAGES - 1 - choose(4),
    )
    kind = pick(
        weighted((2, MAP_SHARED), (2, MAP_PRIVATE), (1, MAP_SHARED | MAP_ANONYMOUS)), choose
    )
    file = (0, 0) if kind & MAP_ANONYMOUS else (FILE, offset * PAGE)
    yield Operation("mmap", who(), (place, pages * PAGE, RW, kind | MAP_FIXED, *file))
    for _ in range(3):
        page = moved(place, choose(pages))
        yield _store(who(), page) if choose(2) else Operation("load", who(), (page,))
        yield from who.fork()
    if choose(2):
        # In a child, a split area stays split if it has an anon_vma, even if it was never written.
        yield Operation("mprotect", who(), (place, PAGE, PROT_READ))
        yield from who.fork()
        yield Operation("mprotect", who(), (place, PAGE, RW))
    elif kind & MAP_SHARED and choose(2):
        yield Operation("mremap", who(), (place, 0, pages * PAGE, MREMAP_MAYMOVE, Place("zero")))
    elif choose(2):
        yield Operation("madvise", who(), (place, PAGE, MADV_DONTNEED))


Story = Callable[[Choose, Sketch], Iterator[Operation]]
STORIES: tuple[Story, ...] = weighted(
    (5, row),
    (2, near_the_guard),
    (1, heap_near_the_guard),
    (2, heap_in_pieces),
    (3, there_and_back),
    (1, pages_of_a_file),
)


def story(choose: Choose, sketch: Sketch) -> list[Operation]:
    """One of the stories; now and then a step is left out."""
    told = pick(STORIES, choose)(choose, sketch)
    return [step for step in told if step.name == "fork" or choose(12) < 11]
