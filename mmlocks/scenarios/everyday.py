"""Everyday work that every release gets right: first touches, refused accesses, system calls.

None of them has a story. They find answers that replace more than they must, and break what was
right.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from mmlocks.machine import require
from mmlocks.mm.address import PAGE_SIZE, address_of
from mmlocks.mm.fault import SegmentationFault
from mmlocks.mm.syscalls.madvise import MADV_DONTNEED, madvise
from mmlocks.mm.syscalls.mprotect import mprotect
from mmlocks.mm.syscalls.mremap import MREMAP_FIXED, MREMAP_MAYMOVE, mremap
from mmlocks.mm.syscalls.munmap import munmap
from mmlocks.mm.user import load, store
from mmlocks.mm.vm_flags import VM_ACCOUNT, VM_MAY_ACCESS, VM_READ
from mmlocks.mm.world import World
from mmlocks.scenarios.scenario import Scenario, expect

RECORD = "what programs may expect of their memory, without any fork"


async def comes_to(what: str, wanted: Any, access: Awaitable[Any]) -> None:
    """Insist on the result of an access or a system call; None stands for a segmentation fault."""
    try:
        got = await access
    except SegmentationFault:
        got = None
    await require(
        got == wanted,
        "promise",
        f"{what} came to {_said(got)}, and should have come to {_said(wanted)}",
    )


async def stores(world: World, page: int, value: Any) -> bool:
    """Store, and say that the store was completed."""
    await store(world.mm, address_of(page), value)
    return True


def _said(value: Any) -> str:
    return "a segmentation fault" if value is None else "success" if value is True else str(value)


# -- two CPUs touch a page that was never touched --------------------------------------------------

SHARED, FRESH, BESIDE = 6, 7, 9


async def one(world: World) -> None:
    await store(world.mm, address_of(SHARED, 0), 1)
    await load(world.mm, address_of(SHARED, 0))


async def other(world: World) -> None:
    await load(world.mm, address_of(SHARED, 1))
    await store(world.mm, address_of(SHARED, 1), 2)


def shared_page() -> World:
    made = World(2, {SHARED: None}, {0: [SHARED], 1: [SHARED]}, {}, slots=2, frames=2, forks=False)
    made.map("arena", SHARED, SHARED)
    return made


TOUCH_SAME_PAGE = Scenario(
    name="touch_same_page",
    title="Two CPUs touch the same page for the first time",
    story=(
        "P6 was never touched. cpu0 stores to it and reads back what it stored; cpu1 first loads "
        "from it, then stores to another word."
    ),
    threads=(
        ("stores P6[0] = 1, reads it back", one),
        ("loads P6[1], then stores P6[1] = 2", other),
    ),
    world=shared_page,
    stores=((SHARED, 0, 1), (SHARED, 1, 2)),
    oracles=(
        "lost_store",
        "stale_translation",
        "references",
        "held_at_end",
        "misfiled",
        "same_parent",
    ),
    expected=expect(),
    source=RECORD,
)


async def lower(world: World) -> None:
    await store(world.mm, address_of(SHARED), 1)


async def upper(world: World) -> None:
    await store(world.mm, address_of(FRESH), 2)


def untouched_vma() -> World:
    pages = {SHARED: None, FRESH: None, BESIDE: (5,)}
    made = World(2, pages, {0: [SHARED], 1: [FRESH]}, {}, slots=1, frames=2, forks=False)
    made.map("arena", SHARED, FRESH, faulted=False)
    made.map("apart", BESIDE, BESIDE)
    return made


TOUCH_SAME_VMA = Scenario(
    name="touch_same_vma",
    title="Two CPUs touch a VMA for the first time",
    story=(
        "A VMA that was never touched has two pages. cpu0 stores to one of them, cpu1 to the other."
    ),
    threads=(("stores P6 = 1", lower), ("stores P7 = 2", upper)),
    world=untouched_vma,
    stores=((SHARED, 0, 1), (FRESH, 0, 2)),
    oracles=(
        "lost_store",
        "stale_translation",
        "references",
        "held_at_end",
        "misfiled",
        "same_parent",
    ),
    expected=expect(),
    source=RECORD,
)


# -- one CPU does one thing after the other --------------------------------------------------------

HOLE, CONSTANTS, HEAP, LAST, PLACE = 2, 3, 5, 6, 8


async def trespasser(world: World) -> None:
    await comes_to(
        f"a store to P{CONSTANTS}, which can only be read,", None, stores(world, CONSTANTS, 1)
    )
    await comes_to(f"a load of P{CONSTANTS}", 7, load(world.mm, address_of(CONSTANTS)))
    for page in (HOLE, CONSTANTS + 1, LAST + 1):
        await comes_to(
            f"a load of P{page}, where no VMA is,", None, load(world.mm, address_of(page))
        )
    await comes_to(
        f"a load of P{HEAP}, which was never touched,", 0, load(world.mm, address_of(HEAP))
    )
    await comes_to(f"a store to P{LAST}", True, stores(world, LAST, 1))


def small_process(**more: Any) -> World:
    pages = {
        HOLE: None,
        CONSTANTS: (7,),
        CONSTANTS + 1: None,
        HEAP: None,
        LAST: None,
        LAST + 1: None,
        PLACE: None,
    }
    made = World(1, pages, {0: [HEAP, LAST, PLACE]}, {}, slots=1, frames=2, forks=False, **more)
    made.map("constants", CONSTANTS, CONSTANTS, flags=VM_READ | VM_MAY_ACCESS | VM_ACCOUNT)
    made.map("heap", HEAP, LAST)
    entry = made.mm.page_table.pte[CONSTANTS]
    found = entry.of(made.layout.initial)
    assert found is not None
    made.layout.preset(entry, found.wrprotected())
    return made


TRESPASS = Scenario(
    name="trespass",
    title="A program tries what it must not",
    story=(
        "cpu0 stores to memory that can only be read, and loads from addresses where no VMA is: "
        "each is a segmentation fault. Then it loads and stores where it may."
    ),
    threads=(("tries what it must not, then what it may", trespasser),),
    world=small_process,
    stores=((LAST, 0, 1),),
    oracles=(
        "promise",
        "lost_store",
        "stale_translation",
        "references",
        "held_at_end",
        "misfiled",
        "same_parent",
    ),
    expected=expect(),
    source=RECORD,
)


async def mover(world: World) -> None:
    mm, heap, last, place = world.mm, HEAP * PAGE_SIZE, LAST * PAGE_SIZE, PLACE * PAGE_SIZE
    await store(mm, last, 2)
    await comes_to("mprotect(P5, read)", 0, mprotect(mm, heap, PAGE_SIZE, VM_READ))
    await comes_to("a store to P5, which can only be read now,", None, stores(world, HEAP, 3))
    flags = MREMAP_MAYMOVE | MREMAP_FIXED
    await comes_to("mremap(P6 to P8)", place, mremap(mm, last, PAGE_SIZE, PAGE_SIZE, flags, place))
    await comes_to("a load of P8, where P6 has gone,", 2, load(mm, place))
    await comes_to("a load of P6, which has gone,", None, load(mm, last))


async def forgetter(world: World) -> None:
    mm, heap = world.mm, HEAP * PAGE_SIZE
    await store(mm, heap, 1)
    await comes_to("madvise(P5, dontneed)", 0, madvise(mm, heap, PAGE_SIZE, MADV_DONTNEED))
    await comes_to("a load of P5, which was forgotten,", 0, load(mm, heap))
    await comes_to("munmap(P5)", 0, munmap(mm, heap, PAGE_SIZE))
    await comes_to("a load of P5, which was unmapped,", None, load(mm, heap))


def changing_process() -> World:
    made = small_process(referee=False)
    made.may_move(LAST, PLACE)
    made.may_change(nodes=8, vmas=6)
    return made


MOVE_MEMORY = Scenario(
    name="move_memory",
    title="A program protects memory, and moves some",
    story=(
        "cpu0 calls mprotect and mremap, and looks after each whether its memory is what it "
        "should be."
    ),
    threads=(("protects, moves, and looks", mover),),
    world=changing_process,
    oracles=("promise", "stale_translation", "references", "held_at_end", "misfiled", "stray_page"),
    expected=expect(),
    source=RECORD,
)
FORGET_MEMORY = Scenario(
    name="forget_memory",
    title="A program gives memory back",
    story=(
        "cpu0 calls madvise and munmap, and looks after each whether its memory is what it "
        "should be."
    ),
    threads=(("gives back, and looks", forgetter),),
    world=changing_process,
    oracles=("promise", "stale_translation", "references", "held_at_end", "misfiled", "stray_page"),
    expected=expect(),
    source=RECORD,
)

EVERYDAY = (TOUCH_SAME_PAGE, TOUCH_SAME_VMA, TRESPASS, MOVE_MEMORY, FORGET_MEMORY)
