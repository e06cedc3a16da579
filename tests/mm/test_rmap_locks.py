"""Walks from a frame to its mappings, beside whoever moves or copies those mappings: the locks that are taken, and those that are left out.

The reader of a lock that is left out is told so: its functions say "Differs". A walk of our own shows here what is lost by it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from mmlocks.machine import together
from mmlocks.mm.address import PAGE_SIZE, address_of
from mmlocks.mm.cow import do_wp_page
from mmlocks.mm.filemap import do_fault, do_read_fault, finish_fault, wp_page_shared
from mmlocks.mm.fork import copy_page_range, copy_present_pte, dup_mmap
from mmlocks.mm.frames import folio_put
from mmlocks.mm.kernel import Kernel
from mmlocks.mm.mm_types import File, Pte
from mmlocks.mm.pagecache import page_mkwrite
from mmlocks.mm.pagetable import set_pte_at
from mmlocks.mm.reclaim import rmap_walk_file, try_to_unmap_one
from mmlocks.mm.rmap import anon_vma_clone, anon_vma_fork, anon_vma_prepare, unlink_anon_vmas
from mmlocks.mm.stack import expand_downwards
from mmlocks.mm.syscalls.merge import commit_merge
from mmlocks.mm.syscalls.mremap import (
    MREMAP_DONTUNMAP,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
    mremap,
    take_rmap_locks,
)
from mmlocks.mm.syscalls.split import split_in_two
from mmlocks.mm.tlb import flush_tlb_page
from mmlocks.mm.user import copy_to_user, fork, load
from mmlocks.mm.vm_flags import VM_MAY_ACCESS, VM_READ, VM_SHARED, VM_WRITE
from mmlocks.mm.vma_dup import vm_area_dup
from mmlocks.mm.world import PRIVATE, STACK, World
from mmlocks.releases import NEWEST, RELEASES
from mmlocks.scenarios import Scenario, check

LEFT, GAP, RIGHT, FIRST, SECOND = 2, 3, 4, 5, 6
SHARED = VM_READ | VM_WRITE | VM_SHARED | VM_MAY_ACCESS
JUDGES = ("references", "held_at_end", "stray_page", "freed_vma", "freed_node")


def judged(first, second, world, kernel=NEWEST) -> Any:
    scenario = Scenario(
        "test", "", "", (("first", first), ("walks", second)), world, JUDGES, {}, ""
    )
    return check(scenario, kernel).verdict


def shows(made: World, page: int, frame: Any) -> None:
    """Let the page table show a frame at a page when the program begins."""
    made.layout.preset(made.mm.page_table.pte[page], Pte(frame, True))
    if frame.dirty is not None or not frame.anonymous:
        made.layout.preset(frame.refcount, frame.refcount.of(made.layout.initial) + 1)


# -- mremap beside a walk from the file -------------------------------------------------------------------------------


def mapped(*areas: tuple[str, int, int, int], page: int, index: int, flags: int = SHARED) -> World:
    """VMAs of the file "data": of each its name, first and last page, and its vm_pgoff. The file's page `index` is mapped at `page`."""
    pages: dict[int, Any] = dict.fromkeys((LEFT, GAP, RIGHT, FIRST, SECOND))
    made = World(2, pages=pages, faulting={}, cached={}, slots=1, referee=False, forks=False)
    data = made.file("data", pages=4, at=LEFT)
    for each in pages:
        made.memory.behind[each] = [made.memory.zero, *map(data.frame, range(4))]
    for name, first, last, pgoff in areas:
        vma = made.map(name, first, last, faulted=False, flags=flags, file=data)
        made.layout.preset(vma.vm_pgoff, pgoff)
    shows(made, page, data.frame(index))
    made.may_change(nodes=4, vmas=2)
    return made


def joins_the_left() -> World:
    """P6 is to follow P2, whose VMA comes first in the file, and is visited first."""
    return mapped(("a", LEFT, LEFT, 0), ("b", SECOND, SECOND, 1), page=SECOND, index=1)


def joins_the_right_which_is_the_older() -> World:
    """P6 is to come before P4. Both VMAs begin with the same page of the file then, and the one of P4 is older."""
    return mapped(("c", RIGHT, RIGHT, 2), ("b", SECOND, SECOND, 1), page=SECOND, index=1)


def comes_later_in_the_file() -> World:
    """The same for the second page of a VMA: P4's comes later in the file, so that the walk visits it later, though it is older."""
    return mapped(("c", RIGHT, RIGHT, 2), ("b", FIRST, SECOND, 0), page=SECOND, index=1)


def has_no_neighbour() -> World:
    return mapped(("b", SECOND, SECOND, 1), page=SECOND, index=1)


MOVES = [
    joins_the_left,
    joins_the_right_which_is_the_older,
    comes_later_in_the_file,
    has_no_neighbour,
]


async def moves(world: World) -> None:
    flags = MREMAP_MAYMOVE | MREMAP_FIXED
    await mremap(world.mm, address_of(SECOND), PAGE_SIZE, PAGE_SIZE, flags, address_of(GAP))


async def takes_the_page(world: World) -> None:
    """Truncates the file: afterwards nobody but the page cache may have its page 1."""
    file = world.files["data"]
    folio = file.frame(1)
    assert folio is not None
    await rmap_walk_file(file, folio, 1)
    left = await folio.refcount
    if left != 1:
        raise AssertionError(
            f"the walk is over, and page 1 has {left - 1} references besides the page cache's"
        )


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("world", MOVES, ids=lambda world: world.__name__)
def test_no_walk_misses_a_page_of_a_file_that_mremap_moves(world, release) -> None:
    verdict = judged(moves, takes_the_page, world, release)
    assert verdict.outcome == "safe", verdict


async def nothing_at_all(vma) -> None:
    return


async def visits_the_older_first(file, folio, index) -> None:
    """rmap_walk_file, without its order."""
    await file.i_mmap_rwsem.down_read()
    for vma in await file.i_mmap:
        await try_to_unmap_one(vma, folio, index)
    await file.i_mmap_rwsem.up_read()


WITHOUT_LOCKS = {"take_rmap_locks": nothing_at_all, "drop_rmap_locks": nothing_at_all}
BY_AGE = {"rmap_walk_file": visits_the_older_first}


@pytest.mark.parametrize(
    ("world", "instead", "outcome"),
    [
        (joins_the_left, WITHOUT_LOCKS, "violated"),
        (joins_the_right_which_is_the_older, WITHOUT_LOCKS, "violated"),
        (comes_later_in_the_file, WITHOUT_LOCKS, "safe"),
        (has_no_neighbour, WITHOUT_LOCKS, "safe"),
        (comes_later_in_the_file, BY_AGE, "violated"),
    ],
)
def test_the_lock_is_taken_just_where_the_order_of_the_walk_does_not_do(
    world, instead, outcome
) -> None:
    """Linux's need_rmap_locks: where the new place comes later than the old one, the order alone is enough."""
    verdict = judged(moves, takes_the_page, world, Kernel(NEWEST, instead))
    assert verdict.outcome == outcome, verdict


# -- fork beside a walk from the file ---------------------------------------------------------------------------------


def forks_with_a_file() -> World:
    """A private mapping of a file that has been stored to elsewhere, so that fork copies its page table."""
    made = World(
        2, pages={RIGHT: None, FIRST: None}, faulting={}, cached={}, slots=1, referee=False
    )
    data = made.file("data", pages=2, at=RIGHT)
    vma = made.map("b", FIRST, FIRST, flags=PRIVATE, file=data)
    made.layout.preset(vma.vm_pgoff, 1)
    frame = data.frame(1)
    assert frame is not None
    made.layout.preset(made.mm.page_table.pte[FIRST], Pte(frame, False))
    made.layout.preset(frame.refcount, 2)
    return made


async def forks(world: World) -> None:
    await fork(world.mm, world.child)


@pytest.mark.parametrize("release", RELEASES)
def test_no_walk_misses_a_page_of_a_file_that_fork_shares(release) -> None:
    verdict = judged(forks, takes_the_page, forks_with_a_file, release)
    assert verdict.outcome == "safe", verdict


async def keeps_the_child_to_itself(file, vma) -> None:
    return


def test_a_child_that_the_file_does_not_know_keeps_its_page() -> None:
    kernel = Kernel(NEWEST, {"vma_link_file": keeps_the_child_to_itself})
    assert judged(forks, takes_the_page, forks_with_a_file, kernel).violation.oracle == "exception"


# -- locks that are left out, and what that shows ---------------------------------------------------------------------


async def reads_the_page(world: World) -> None:
    await load(world.mm, address_of(SECOND))


def test_limit_a_fault_maps_a_page_behind_the_back_of_a_walk() -> None:
    """Linux's folio lock would keep the fault out until the walk is over, and then it would see that the page has gone."""

    def unmapped() -> World:
        made = joins_the_left()
        entry = made.mm.page_table.pte[SECOND]
        made.layout.preset(entry.of(made.layout.initial).frame.refcount, 1)  # type: ignore[union-attr]
        made.layout.preset(entry, None)
        return made

    verdict = judged(reads_the_page, takes_the_page, unmapped)
    assert verdict.outcome == "violated", verdict
    assert "page 1 has 1 references" in verdict.violation.message


async def walks_from_a_frame(world: World) -> None:
    """What Linux's rmap_walk_anon would do, with no lock to take: visit each VMA of an anon_vma, and unmap the frame there."""
    folio = world.memory.frames[0]
    mapping, index = await folio.mapping, await folio.index
    for vma in (*world.mm.vmas, *world.mm.spare_vmas):
        if mapping not in await vma.anon_vma_chain:
            continue
        start = await vma.vm_start
        pgoff, end = await together(vma.vm_pgoff, vma.vm_end)
        page = start // PAGE_SIZE + index - pgoff
        if not start <= page * PAGE_SIZE < end:
            continue
        table = world.mm.page_table
        _, entry = await together(table.ptl[page].lock(), table.pte[page])
        if entry is None or entry.frame is not folio:
            await table.ptl[page].unlock()
            continue
        await together(
            set_pte_at(world.mm, page, None),
            flush_tlb_page(world.mm, page),
            table.ptl[page].unlock(),
        )
        await folio_put(world.memory, folio)
    left = await folio.refcount
    if left:
        raise AssertionError(f"the walk is over, and {folio} is still mapped")


def anonymous() -> World:
    """Two VMAs that were one: by their numbers P6 may follow P2, and both are filed in one anon_vma."""
    made = World(
        2,
        pages={LEFT: None, GAP: None, SECOND: (7,)},
        faulting={},
        cached={},
        slots=1,
        referee=False,
        forks=False,
    )
    made.memory.behind[GAP] = made.memory.behind[SECOND]
    a, b = made.map("a", LEFT, LEFT), made.map("b", SECOND, SECOND)
    shared = b.anon_vma.of(made.layout.initial)
    assert shared is not None
    for cell, value in ((a.anon_vma, shared), (a.anon_vma_chain, (shared,))):
        made.layout.preset(cell, value)
    made.layout.preset(shared.refcount, 2)
    made.layout.preset(b.vm_pgoff, GAP)
    made.layout.preset(made.memory.frames[0].index, GAP)
    made.may_change(nodes=4, vmas=1)
    return made


async def moves_and_keeps(world: World) -> None:
    """The same as `moves`, but the VMA that is left stays, so that the walk can still look at it."""
    flags = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP
    await mremap(world.mm, address_of(SECOND), PAGE_SIZE, PAGE_SIZE, flags, address_of(GAP))


def stack() -> World:
    made = World(
        2,
        pages={FIRST: None, SECOND: (7,)},
        faulting={0: [FIRST]},
        cached={},
        slots=1,
        referee=False,
        forks=False,
    )
    made.map("stack", SECOND, SECOND, flags=STACK)
    made.may_change(nodes=2)
    return made


async def grows(world: World) -> None:
    await copy_to_user(world.mm, address_of(FIRST), 1)


@pytest.mark.parametrize(
    ("first", "world"),
    [(moves_and_keeps, anonymous), (grows, stack)],
    ids=["mremap", "a stack that grows"],
)
def test_limit_a_walk_from_an_anonymous_frame_can_miss_its_page(
    first: Callable[..., Any], world: Any
) -> None:
    """Linux's anon_vma lock would keep the two apart. Nothing in mmlocks/mm makes such a walk."""
    verdict = judged(first, walks_from_a_frame, world)
    assert verdict.outcome == "violated", verdict
    assert "is still mapped" in verdict.violation.message


LEFT_OUT: dict[str, list[Any]] = {
    "anon_vma lock": [
        anon_vma_prepare, anon_vma_clone, anon_vma_fork, unlink_anon_vmas,
        expand_downwards, commit_merge, split_in_two,
    ],
    "anon_vma": [take_rmap_locks, vm_area_dup],
    "folio_lock": [
        do_fault, do_read_fault, finish_fault, wp_page_shared,
        page_mkwrite, File, rmap_walk_file, do_wp_page,
    ],
    "page-table lock": [copy_present_pte],
    "write_protect_seq": [copy_page_range],
    "mmap_lock": [dup_mmap],
    "dup_mmap_sem": [dup_mmap],
}  # fmt: skip
"""Locks of Linux's that the functions named here do not take (seqcounts among them), compared with 6.4 function by function."""


@pytest.mark.parametrize(
    ("lock", "function"),
    [(lock, function) for lock, functions in LEFT_OUT.items() for function in functions],
    ids=lambda part: getattr(part, "__name__", part),
)
def test_a_function_that_leaves_out_a_lock_says_so(lock: str, function: Any) -> None:
    said = " ".join((inspect.getdoc(function) or "").split())
    assert lock in said.partition("Differs:")[2]
