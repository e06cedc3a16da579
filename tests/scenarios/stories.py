"""Small stories about system calls that no scenario of the course makes, so that every kernel function is called under a search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmlocks.mm import SegmentationFault, brk, load, madvise, mmap, mprotect, mremap, munmap, store
from mmlocks.mm.address import PAGE_SIZE, address_of
from mmlocks.mm.syscalls.madvise import MADV_DONTNEED
from mmlocks.mm.syscalls.mmap import MAP_PRIVATE
from mmlocks.mm.syscalls.mremap import MREMAP_FIXED, MREMAP_MAYMOVE
from mmlocks.mm.vm_flags import VM_READ, VM_WRITE
from mmlocks.mm.world import PRIVATE, World
from mmlocks.scenarios import Scenario
from mmlocks.scenarios.scenario import expect

FIRST, MIDDLE, LAST, AWAY, DATA, WALL, TOP = 3, 4, 5, 6, 7, 8, 0x3F


async def protector(world: World) -> None:
    await mprotect(world.mm, address_of(MIDDLE), PAGE_SIZE, VM_READ)
    await mprotect(world.mm, address_of(MIDDLE), PAGE_SIZE, VM_READ | VM_WRITE)


async def forgetter(world: World) -> None:
    await madvise(world.mm, address_of(FIRST), 3 * PAGE_SIZE, MADV_DONTNEED)


async def breaker(world: World) -> None:
    await brk(world.mm, PAGE_SIZE)
    await brk(world.mm, 0)


async def piercer(world: World) -> None:
    """The hole is too small for what is mapped next; so is all that is left below the wall."""
    await munmap(world.mm, address_of(MIDDLE), PAGE_SIZE)
    await mmap(world.mm, 0, 4 * PAGE_SIZE, VM_READ | VM_WRITE, MAP_PRIVATE)


async def grower(world: World) -> None:
    await mremap(world.mm, address_of(LAST), PAGE_SIZE, 2 * PAGE_SIZE, 0)


async def mover(world: World) -> None:
    await mremap(
        world.mm,
        address_of(LAST),
        PAGE_SIZE,
        PAGE_SIZE,
        MREMAP_MAYMOVE | MREMAP_FIXED,
        address_of(AWAY),
    )


async def toucher(world: World) -> None:
    try:
        await store(world.mm, address_of(MIDDLE), 1)
    except SegmentationFault:
        return


async def reader(world: World) -> None:
    await load(world.mm, address_of(FIRST))


async def copier(world: World) -> None:
    await store(world.mm, address_of(DATA), 1)


def world() -> World:
    made = World(
        2,
        pages={FIRST: (1,), MIDDLE: None, LAST: (3,), AWAY: None, DATA: None},
        faulting={1: [FIRST, MIDDLE, DATA]},
        cached={0: [FIRST]},
        slots=1,
        frames=2,
        referee=False,
        forks=False,
    )
    made.may_move(LAST, AWAY)
    made.map("heap", FIRST, LAST)
    dictionary = made.file("dictionary", pages=1, at=DATA)
    made.map("data", DATA, DATA, faulted=False, flags=PRIVATE, file=dictionary)
    made.map("wall", WALL, TOP, faulted=False)
    made.may_change(nodes=8, vmas=4)
    return made


def story(name: str, caller: Callable[..., Any], other: Callable[..., Any]) -> Scenario:
    return Scenario(
        name=name,
        title=name,
        story=f"cpu0 is the {caller.__name__}, cpu1 the {other.__name__}.",
        threads=((caller.__name__, caller), (other.__name__, other)),
        world=world,
        oracles=("freed_vma", "freed_node", "misfiled", "stray_page", "references", "held_at_end"),
        expected=expect(),
        source="",
    )


STORIES = {
    made.name: made
    for made in (
        story("protect", protector, toucher),
        story("forget", forgetter, reader),
        story("break", breaker, reader),
        story("pierce", piercer, reader),
        story("grow", grower, reader),
        story("move", mover, reader),
        story("copy", reader, copier),
    )
}
