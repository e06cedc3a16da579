"""vm.max_map_count: what is refused, and what is not, when there are as many areas as there may be."""

from __future__ import annotations

import pytest

from mmlocks.conformance.nursery import Nursery
from mmlocks.conformance.process import Process
from mmlocks.conformance.rules import running_release
from mmlocks.conformance.subject import Subject
from tests.conformance.test_agent import pytestmark as needs_linux

PAGE = 0x1000
ARENA = 0x1000_0000_0000
NONE, R, RW = 0, 1, 3
PLAIN, FIXED, NORESERVE = 0x22, 0x32, 0x4000
MAYMOVE, TO_A_PLACE, DONTUNMAP = 1, 3, 5


def at(page: int) -> int:
    return ARENA + page * PAGE


def operations(limit: int, areas: int) -> list[tuple[str, tuple[int, ...]]]:
    """Fill an address space that has `areas` already up to `limit`, and try everything there and just below."""
    pages = 2 * limit
    fill: list[tuple[str, tuple[int, ...]]] = [
        ("mmap", (at(0), pages * PAGE, NONE, FIXED | NORESERVE, 0, 0)),
        # Far away from the rest, to be moved and grown.
        ("mmap", (at(-100), 4 * PAGE, RW, FIXED, 0, 0)),
        # Each of these makes two areas more.
        *(("mprotect", (at(2 * n + 1), PAGE, R)) for n in range((limit - areas - 8) // 2)),
    ]
    tries = [
        ("mremap", (at(-100), PAGE, PAGE, TO_A_PLACE, at(-50))),
        ("mremap", (at(-100), 2 * PAGE, 2 * PAGE, DONTUNMAP, 0)),
        ("mremap", (at(-100), 4 * PAGE, 5 * PAGE, MAYMOVE, 0)),
        ("mremap", (at(-99), PAGE, 2 * PAGE, MAYMOVE, 0)),
        ("mprotect", (at(pages - 9), PAGE, R)),
        ("munmap", (at(pages - 6), PAGE)),
        ("mprotect", (at(pages - 4), 4 * PAGE, R)),
        ("mmap", (at(-70), PAGE, RW, FIXED, 0, 0)),
        ("brk", (0x4000_0000,)),
        ("mmap", (at(-60), PAGE, R, FIXED, 0, 0)),
    ]
    return [*fill, *(one for _ in range(6) for one in tries)]


def results(subject: Subject, given: list[tuple[str, tuple[int, ...]]]) -> list[int]:
    """What each operation returns, and, of the later ones, how many areas there are then."""
    found = []
    for number, (name, args) in enumerate(given):
        found.append(subject.call(name, *args))
        if number >= len(given) - 60 and number % 7 == 0:  # looking at 65,530 areas takes a while
            found.append(len(subject.areas(flags=False)))
    return found


@needs_linux
@pytest.mark.slow
def test_the_limit_on_areas_is_the_kernels() -> None:
    with Nursery() as nursery:
        process = nursery.process()
        start = process.areas(flags=True)
        given = operations(
            nursery.limits.max_map_count, len(start) - 1
        )  # [vsyscall] does not count
        real = results(process, given)
        model = results(Process.started(start, nursery.limits, running_release()), given)
    assert model == real
    assert -12 in real[-60:], "the limit was never reached"
