"""What happened is read off areas and results: small programs whose events are known."""

from collections import Counter

import pytest

from mmlocks.conformance.compare import observe
from mmlocks.conformance.coverage import ENOUGH, ROWS, count, in_order, rare
from mmlocks.conformance.events import Row
from mmlocks.conformance.program import (
    HUGE_PAGE,
    MADV_DONTNEED,
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_GROWSDOWN,
    MAP_PRIVATE,
    MREMAP_DONTUNMAP,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
    PAGE,
    PROT_READ,
    PROT_WRITE,
    Operation,
    Place,
    Program,
)
from tests.conformance.helpers import model, start

RW = PROT_READ | PROT_WRITE
PLAIN = MAP_PRIVATE | MAP_ANONYMOUS


def mmap(place: Place, pages: int = 1, prot: int = RW, flags: int = MAP_FIXED) -> Operation:
    return Operation("mmap", 0, (place, pages * PAGE, prot, PLAIN | flags, 0, 0))


def arena(page: int) -> Place:
    return Place("arena", page)


def op(name: str, *args: Place | int, process: int = 0) -> Operation:
    return Operation(name, process, args)


FORK = op("fork", 1)
STORY: list[tuple[str, str, Program]] = [
    ("areas", "two became one", (mmap(arena(0)), mmap(arena(1)))),
    ("areas", "three became one", (mmap(arena(0)), mmap(arena(2)), mmap(arena(1)))),
    ("areas", "one became two", (mmap(arena(0), 2), op("mprotect", arena(0), PAGE, PROT_READ))),
    ("areas", "one became three", (mmap(arena(0), 3), op("mprotect", arena(1), PAGE, PROT_READ))),
    (
        "areas",
        "a part joined its neighbour",
        (mmap(arena(0), 2, PROT_READ), mmap(arena(2), 2), op("mprotect", arena(1), PAGE, RW)),
    ),
    (
        "areas",
        "alike and adjacent, still two",
        (
            mmap(arena(0)),
            mmap(arena(2)),
            op("store", arena(0), 1),
            op("store", arena(2), 1),
            mmap(arena(1)),
        ),
    ),
    (
        "areas",
        "alike and adjacent, still two, in a child",
        (
            mmap(arena(0)),
            op("store", arena(0), 1),
            FORK,
            op("mmap", arena(1), PAGE, RW, PLAIN | MAP_FIXED, 0, 0, process=1),
        ),
    ),
    ("pages", "first store to a page", (mmap(arena(0)), op("store", arena(0), 1))),
    (
        "pages",
        "a store parted what parent and child shared",
        (mmap(arena(0)), op("store", arena(0), 1), FORK, op("store", arena(0), 2, process=1)),
    ),
    (
        "pages",
        "words followed mremap",
        (
            mmap(arena(0)),
            op("store", arena(0), 1),
            op("mremap", arena(0), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, arena(8)),
        ),
    ),
    (
        "pages",
        "words were dropped by MADV_DONTNEED",
        (mmap(arena(0)), op("store", arena(0), 1), op("madvise", arena(0), PAGE, MADV_DONTNEED)),
    ),
    ("pages", "store refused: no area", (op("store", arena(0), 1),)),
    (
        "pages",
        "store refused: not writable",
        (mmap(arena(0), prot=PROT_READ), op("store", arena(0), 1)),
    ),
    ("pages", "load refused: not readable", (mmap(arena(0), prot=0), op("load", arena(0)))),
    (
        "pages",
        "load refused: behind the end of the file",
        (
            op("mmap", arena(0), 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, 1, 15 * PAGE),
            op("load", arena(1)),
        ),
    ),
    ("stack", "[stack] grew by a page", (op("store", Place("stack", -34), 1),)),
    ("stack", "[stack] grew by several", (op("store", Place("stack", -40), 1),)),
    ("stack", "[stack] grew by hundreds", (op("load", Place("stack", -1000)),)),
    ("stack", "refused: RLIMIT_STACK", (op("store", Place("stack", -2049), 1),)),
    (
        "stack",
        "grew to exactly the guard gap",
        (
            mmap(arena(0)),
            mmap(arena(300), flags=MAP_FIXED | MAP_GROWSDOWN),
            op("store", arena(257), 1),
        ),
    ),
    (
        "stack",
        "refused: guard gap",
        (
            mmap(arena(0)),
            mmap(arena(300), flags=MAP_FIXED | MAP_GROWSDOWN),
            op("store", arena(256), 1),
        ),
    ),
    (
        "stack",
        "grew closer than the guard gap",
        (
            mmap(arena(0), prot=0),
            mmap(arena(300), flags=MAP_FIXED | MAP_GROWSDOWN),
            op("store", arena(9), 1),
        ),
    ),
    ("brk", "heap began", (op("brk", Place("heap", 2)),)),
    ("brk", "heap grew in its area", (op("brk", Place("heap", 2)), op("brk", Place("heap", 3)))),
    ("brk", "heap shrank to nothing", (op("brk", Place("heap", 2)), op("brk", Place("heap")))),
    ("brk", "refused by a neighbour", (mmap(Place("heap", 4)), op("brk", Place("heap", 4)))),
    (
        "brk",
        "refused by a growing neighbour's guard gap",
        (mmap(Place("heap", 258), flags=MAP_FIXED | MAP_GROWSDOWN), op("brk", Place("heap", 3))),
    ),
    ("mmap", "placed by the kernel", (mmap(Place("zero"), flags=0),)),
    (
        "mmap",
        "2 MiB placed at a multiple of 2 MiB",
        (mmap(Place("zero"), HUGE_PAGE // PAGE, flags=0),),
    ),
    ("mmap", "hint used", (mmap(arena(0), flags=0),)),
    ("mmap", "hint rounded", (mmap(Place("arena", 0, 5), flags=0),)),
    ("mmap", "hint too low: raised", (mmap(Place("zero", 1), flags=0),)),
    ("mmap", "hint ignored: occupied", (mmap(arena(0)), mmap(arena(0), flags=0))),
    (
        "mmap",
        "hint ignored: guard gap",
        (mmap(arena(300), flags=MAP_FIXED | MAP_GROWSDOWN), mmap(arena(290), flags=0)),
    ),
    (
        "mmap",
        "MAP_FIXED_NOREPLACE refused",
        (mmap(arena(0)), mmap(arena(0), flags=MAP_FIXED_NOREPLACE)),
    ),
    ("munmap", "the middle of an area", (mmap(arena(0), 3), op("munmap", arena(1), PAGE))),
    ("munmap", "hole: nothing done", (op("munmap", arena(1), PAGE),)),
    (
        "mprotect",
        "stopped at a hole after it had changed something",
        (mmap(arena(0)), op("mprotect", arena(0), 2 * PAGE, PROT_READ)),
    ),
    (
        "mremap",
        "grew in place",
        (mmap(arena(0)), op("mremap", arena(0), PAGE, 2 * PAGE, 0, Place("zero"))),
    ),
    (
        "mremap",
        "shrank",
        (mmap(arena(0), 2), op("mremap", arena(0), 2 * PAGE, PAGE, 0, Place("zero"))),
    ),
    (
        "mremap",
        "old area kept (MREMAP_DONTUNMAP)",
        (
            mmap(arena(0)),
            op("mremap", arena(0), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, Place("zero")),
        ),
    ),
    ("refused", "mmap EINVAL", (op("mmap", arena(0), 0, RW, PLAIN, 0, 0),)),
]


def counted(program: Program) -> Counter[Row]:
    counts: Counter[Row] = Counter()
    count(program, list(observe(program, model(), start())), start(), counts)
    return counts


@pytest.mark.parametrize(
    ("heading", "row", "program"), STORY, ids=[f"{head}: {row}" for head, row, _ in STORY]
)
def test_an_event_is_counted_when_it_happens(heading: str, row: str, program: Program) -> None:
    assert row in ROWS[heading]
    assert counted(program)[heading, row] == 1
    assert counted(program[:-1])[heading, row] == 0, "and not before"


def test_asking_for_it_is_not_enough() -> None:
    counts = counted((op("mprotect", arena(0), PAGE, PROT_READ), op("munmap", arena(0), PAGE)))
    assert {row for heading, row in counts if heading == "areas"} == set()
    assert counts["refused", "mprotect ENOMEM"] == 1


def test_rows_that_are_rare_are_pointed_out() -> None:
    counts: Counter[Row] = Counter(
        {(heading, row): ENOUGH for heading, rows in ROWS.items() for row in rows}
    )
    assert rare(counts) == []
    counts["stack", "refused: guard gap"] -= 1
    assert rare(counts) == [("stack", "refused: guard gap")]


def test_what_nobody_expected_has_a_row_all_the_same() -> None:
    table = in_order(Counter({("refused", "mmap EAGAIN"): 3}))
    assert table["refused"]["mmap EAGAIN"] == 3
    assert list(table) == list(ROWS)
