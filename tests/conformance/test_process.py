"""One process of the model, told what to do: what its address space looks like afterwards, and what is in its memory.

Each of these was seen on Linux 6.18 (tests/conformance compares thousands of others with the kernel underneath); they are here to be read, and so that
they run where there is no Linux.
"""

from __future__ import annotations

import pytest

from mmlocks.conformance.process import Process
from mmlocks.errors import ModelError
from mmlocks.mm.address import Limits
from mmlocks.mm.area import Area
from mmlocks.mm.errnos import EACCES, EEXIST, EFAULT, EINVAL, ENOMEM
from mmlocks.releases import LAYOUT_RULES, NEWEST, Release

PAGE = 0x1000
A = 0x1000_0000_0000
NONE, R, RW, RWX = 0, 1, 3, 7
PRIVATE, FIXED, GROWSDOWN, NORESERVE, NOREPLACE = 0x2, 0x12, 0x102, 0x4002, 0x10_0002
HUGE = 2 << 20
BASE = 0x7FFF_F7FF_F000
WITH_RULES = Release("newest", "", NEWEST.patches.union(LAYOUT_RULES.values()))
LIMITS = Limits(mmap_base=BASE, start_brk=0x50_0000, brk=0x50_0000)


class Space:
    """A process with nothing mapped, in pages from A."""

    def __init__(
        self, limits: Limits = LIMITS, release: Release = WITH_RULES, process: Process | None = None
    ) -> None:
        file = (4, lambda page: (100 + page, 200 + page))
        self.process = process or Process.started([], limits, release, files={1: file})

    def map(
        self,
        first: int,
        last: int,
        prot: int = RW,
        flags: int = FIXED,
        file: int = 0,
        offset: int = 0,
    ) -> None:
        address = A + first * PAGE
        result = self.process.call(
            "mmap", address, (last - first) * PAGE, prot, flags | FIXED, file, offset * PAGE
        )
        assert result == address

    def call(self, name: str, first: int, last: int, *more: int) -> int:
        return self.process.call(name, A + first * PAGE, (last - first) * PAGE, *more)

    def move(self, first: int, last: int, to: int, pages: int | None = None, flags: int = 3) -> int:
        length = (last - first) * PAGE
        new = length if pages is None else pages * PAGE
        return self.process.call("mremap", A + first * PAGE, length, new, flags, A + to * PAGE)

    def touch(self, *pages: int) -> None:
        for page in pages:
            assert self.process.store(A + page * PAGE, page)

    def at(self, page: int) -> int | None:
        return self.process.load(A + page * PAGE)

    def fork(self) -> Space:
        return Space(process=self.process.fork())

    def __str__(self) -> str:
        return " ".join(
            f"[{(area.start - A) // PAGE},{(area.end - A) // PAGE}){area.perms[:3]}"
            for area in self.process.areas()
        )


@pytest.fixture
def space() -> Space:
    return Space()


# -- merging and splitting --------------------------------------------------------------------------------------------


def test_neighbours_alike_are_one_area(space: Space) -> None:
    space.map(0, 2)
    space.map(2, 4)
    assert str(space) == "[0,4)rw-"


def test_a_gap_that_is_filled_joins_three(space: Space) -> None:
    space.map(0, 2)
    space.map(4, 6)
    space.map(2, 4)
    assert str(space) == "[0,6)rw-"


def test_areas_that_were_touched_apart_stay_apart(space: Space) -> None:
    space.map(0, 2)
    space.map(4, 6)
    space.touch(0, 4)
    space.map(2, 4)
    assert (
        str(space) == "[0,4)rw- [4,6)rw-"
    )  # their pages are filed apart; the new one goes with the previous


def test_mprotect_splits_and_joins_again(space: Space) -> None:
    space.map(0, 6)
    space.touch(0, 3)
    assert space.call("mprotect", 2, 4, R) == 0
    assert str(space) == "[0,2)rw- [2,4)r-- [4,6)rw-"
    assert space.call("mprotect", 2, 4, RW) == 0
    assert str(space) == "[0,6)rw-"
    assert (space.at(0), space.at(3)) == (0, 3)


def test_a_first_fault_uses_the_neighbours_anon_vma(space: Space) -> None:
    space.map(0, 2)
    space.map(2, 4, RWX)
    space.touch(0, 2)  # the second finds the first's, as the two differ in r, w and x alone
    space.call("mprotect", 2, 4, RW)
    assert str(space) == "[0,4)rw-"


def test_what_a_child_inherited_merges_with_nothing(space: Space) -> None:
    space.map(0, 2)
    space.touch(0)
    child = space.fork()
    child.map(2, 4)
    assert str(child) == "[0,2)rw- [2,4)rw-"
    child.call("mprotect", 0, 1, R)
    child.call("mprotect", 0, 1, RW)
    assert str(child) == "[0,2)rw- [2,4)rw-"  # but its own parts do
    space.map(2, 4)
    assert str(space) == "[0,4)rw-"  # and the parent is as before


def test_untouched_read_only_memory_gives_its_account_back(space: Space) -> None:
    space.map(0, 2)
    space.map(2, 4, R)
    space.call("mprotect", 0, 2, R)
    assert str(space) == "[0,4)r--"


def test_touched_read_only_memory_does_not(space: Space) -> None:
    space.map(0, 2)
    space.touch(0)
    space.map(2, 4, R)
    space.call("mprotect", 0, 2, R)
    assert str(space) == "[0,2)r-- [2,4)r--"


# -- what data survives ------------------------------------------------------------------------------------------------


def test_parent_and_child_do_not_see_each_others_stores(space: Space) -> None:
    space.map(0, 2)
    space.touch(1)
    child = space.fork()
    assert child.at(1) == 1
    child.process.store(A + PAGE, 7)
    space.process.store(A + PAGE + 8, 9)
    assert (space.at(1), child.at(1)) == (1, 7)
    assert (space.process.load(A + PAGE + 8), child.process.load(A + PAGE + 8)) == (9, 0)


def test_dontneed_forgets_and_fixed_replaces(space: Space) -> None:
    space.map(0, 4)
    space.touch(0, 1, 2)
    assert space.call("madvise", 0, 1, 4) == 0
    space.map(1, 2)
    assert [space.at(page) for page in range(4)] == [0, 0, 2, 0]
    assert str(space) == "[0,4)rw-"


def test_mremap_takes_the_data_along(space: Space) -> None:
    space.map(0, 2)
    space.touch(0, 1)
    assert space.move(0, 2, to=8) == A + 8 * PAGE
    assert (space.at(8), space.at(9), space.at(0)) == (0, 1, None)
    assert str(space) == "[8,10)rw-"


def test_dontunmap_leaves_an_empty_area(space: Space) -> None:
    space.map(0, 2)
    space.touch(1)
    assert space.move(0, 2, to=8, flags=7) == A + 8 * PAGE
    assert (space.at(1), space.at(9)) == (0, 1)
    assert str(space) == "[0,2)rw- [8,10)rw-"


def test_dontunmap_to_where_the_copy_merges_with_its_source(space: Space) -> None:
    """The area before takes up the copy, and the source with it: nothing is left of the source that could be emptied."""
    space.map(0, 2)
    space.map(3, 4)
    assert space.move(3, 4, to=2, flags=7) == A + 2 * PAGE
    assert str(space) == "[0,4)rw-"
    space.touch(2, 3)
    assert (space.at(2), space.at(3)) == (2, 3)


def test_a_private_file_is_never_written_to(space: Space) -> None:
    space.map(0, 3, file=1, offset=2)
    assert (space.at(0), space.at(1), space.at(2)) == (102, 103, None)  # the file ends after page 3
    assert space.process.store(A, 5)
    space.map(8, 9, file=1, offset=2)
    assert (space.at(0), space.at(8)) == (5, 102)


def test_a_shared_file_is(space: Space) -> None:
    space.map(0, 1, flags=0x11, file=1, offset=2)
    space.map(8, 9, flags=0x11, file=1, offset=2)
    child = space.fork()
    assert child.process.store(A, 5)
    assert (space.at(0), space.at(8)) == (5, 5)


# -- moving ------------------------------------------------------------------------------------------------------------


def test_untouched_memory_merges_where_it_moves(space: Space) -> None:
    space.map(0, 2)
    space.map(8, 10)
    space.move(0, 2, to=10)
    assert str(space) == "[8,12)rw-"


def test_touched_memory_keeps_its_numbers_and_so_does_not(space: Space) -> None:
    space.map(0, 2)
    space.touch(0)
    space.map(8, 10)
    space.move(0, 2, to=10)
    assert str(space) == "[8,10)rw- [10,12)rw-"


def test_memory_grows_in_place_up_to_its_neighbour(space: Space) -> None:
    space.map(0, 2)
    space.map(4, 6)
    assert space.move(0, 2, to=0, pages=4, flags=0) == A
    assert str(space) == "[0,6)rw-"
    space.call("mprotect", 4, 6, R)
    assert space.move(0, 4, to=0, pages=5, flags=0) == -ENOMEM


# -- placing -----------------------------------------------------------------------------------------------------------


def place(space: Space, length: int, hint: int = 0, flags: int = PRIVATE) -> int:
    return space.process.call("mmap", hint, length, RW, flags, 0, 0)


def test_memory_is_placed_from_the_top_down(space: Space) -> None:
    assert place(space, PAGE) == BASE - PAGE
    assert place(space, 3 * PAGE) == BASE - 4 * PAGE


def test_a_hint_is_rounded_down_and_dropped_if_taken(space: Space) -> None:
    assert place(space, PAGE, A + 123) == A
    assert place(space, PAGE, A + 4095) == BASE - PAGE


@pytest.mark.parametrize(("pages", "used"), [(256, True), (255, False)])
def test_a_hint_keeps_256_pages_from_a_stack(space: Space, pages: int, used: bool) -> None:
    space.map(1000, 1001, flags=GROWSDOWN)
    hint = A + (1000 - pages - 1) * PAGE
    assert (place(space, PAGE, hint) == hint) is used


@pytest.mark.parametrize("length", [HUGE, 2 * HUGE, HUGE + PAGE, HUGE - PAGE])
def test_whole_multiples_of_a_huge_page_are_aligned(space: Space, length: int) -> None:
    place(space, PAGE)
    assert (place(space, length) % HUGE == 0) is (length % HUGE == 0)


def test_an_older_kernel_aligns_every_large_length_or_none() -> None:
    rules = NEWEST.patches
    assert place(Space(release=Release("6.6", "", rules)), HUGE) == BASE - HUGE
    both = Release("6.7", "", rules | {LAYOUT_RULES["thp_aligns_mmap"]})
    assert place(Space(release=both), HUGE + PAGE) % HUGE == 0


# -- stacks ------------------------------------------------------------------------------------------------------------


def test_a_stack_grows_to_where_it_is_touched(space: Space) -> None:
    space.map(1000, 1002, flags=GROWSDOWN)
    space.touch(900)
    assert str(space) == "[900,1002)rw-"


@pytest.mark.parametrize(
    ("prot", "flags", "page", "grows"),
    [
        (RW, FIXED, 258, True),
        (RW, FIXED, 257, False),
        (NONE, FIXED, 2, True),
        (RW, GROWSDOWN, 2, True),
    ],
    ids=["256 pages away", "255 pages away", "from nothing accessible", "from another stack"],
)
def test_a_stack_keeps_its_distance(
    space: Space, prot: int, flags: int, page: int, grows: bool
) -> None:
    space.map(0, 2, prot, flags)
    space.map(1000, 1002, flags=GROWSDOWN)
    assert space.process.store(A + page * PAGE, 1) is grows


def test_a_stack_has_a_limit() -> None:
    space = Space(LIMITS._replace(rlimit_stack=8 * PAGE))
    space.map(1000, 1002, flags=GROWSDOWN)
    assert not space.process.store(A + 993 * PAGE, 1)
    assert space.process.store(A + 994 * PAGE, 1)


# -- the heap ----------------------------------------------------------------------------------------------------------


def heap(space: Space, pages: int) -> int:
    return (space.process.call("brk", LIMITS.start_brk + pages * PAGE) - LIMITS.start_brk) // PAGE


def test_the_heap_grows_and_shrinks(space: Space) -> None:
    assert [heap(space, pages) for pages in (3, 5, 2, -1)] == [3, 5, 2, 2]
    assert [area.end - area.start for area in space.process.areas()] == [2 * PAGE]


def test_the_heap_keeps_a_page_from_what_comes_next(space: Space) -> None:
    space.process.call("mmap", LIMITS.start_brk + 8 * PAGE, PAGE, RW, FIXED, 0, 0)
    assert [heap(space, pages) for pages in (7, 8)] == [7, 7]


# -- errors ------------------------------------------------------------------------------------------------------------


def test_mprotect_over_a_hole_changes_what_lies_before_it(space: Space) -> None:
    space.map(0, 2)
    space.map(4, 6)
    assert space.call("mprotect", 0, 6, R) == -ENOMEM
    assert str(space) == "[0,2)r-- [4,6)rw-"


def test_errors_are_linuxs(space: Space) -> None:
    space.map(0, 4)
    space.map(2, 4, R)
    call = space.process.call
    assert call("mmap", 0, 0, RW, PRIVATE, 0, 0) == -EINVAL
    assert call("mmap", A, PAGE, RW, NOREPLACE, 0, 0) == -EEXIST
    assert call("mmap", A + 1, PAGE, RW, FIXED, 0, 0) == -EINVAL
    assert call("munmap", A + 1, PAGE) == call("munmap", A, 0) == -EINVAL
    assert call("mprotect", A, PAGE, 0x100) == -EINVAL
    assert call("mremap", A, 3 * PAGE, 4 * PAGE, 1, 0) == -EFAULT
    assert call("mremap", A + 9 * PAGE, PAGE, PAGE, 1, 0) == -EFAULT
    assert call("mremap", A, PAGE, PAGE, 2, A) == -EINVAL
    assert call("madvise", A, 9 * PAGE, 4) == -ENOMEM
    assert call("madvise", A, PAGE, 99) == -EINVAL
    assert not space.process.store(A + 2 * PAGE, 1)
    assert space.process.load(A + 4 * PAGE) is None


def test_what_a_file_does_not_allow_mprotect_does_not_either() -> None:
    text = Area(A, A + PAGE, "r--s", 0, "/read-only", frozenset(["rd", "sh", "mr", "ms"]))
    process = Process.started([text], LIMITS, WITH_RULES)
    assert process.call("mprotect", A, PAGE, RW) == -EACCES


def test_an_unknown_system_call_is_named(space: Space) -> None:
    with pytest.raises(ModelError, match="the model has no system call munlock"):
        space.process.call("munlock", A, PAGE)


def test_there_can_be_only_so_many_areas() -> None:
    space = Space(LIMITS._replace(max_map_count=10))
    for n in range(5):
        space.map(4 * n, 4 * n + 3)
    assert [space.call("mprotect", 4 * n + 1, 4 * n + 2, R) for n in range(2)] == [0, 0]
    assert (
        space.call("mprotect", 9, 10, R) == -ENOMEM
    )  # two splits are needed: the first is made, and stays
    assert str(space).count("[") == 10
    assert space.call("munmap", 13, 14) == -ENOMEM
    assert space.move(16, 19, to=40, flags=1, pages=4) == A + 16 * PAGE  # in place
    assert space.move(12, 14, to=40, flags=1, pages=4) == -ENOMEM
    space.map(100, 101)
    assert space.process.call("mmap", 0, PAGE, RW, PRIVATE, 0, 0) == -ENOMEM
