"""Everyday work on several CPUs, which every release gets right, for answers."""

from __future__ import annotations

from mmlocks.mm.address import PAGE_SIZE, address_of
from mmlocks.mm.syscalls.mmap import MAP_PRIVATE, mmap
from mmlocks.mm.syscalls.munmap import munmap
from mmlocks.mm.user import load, store
from mmlocks.mm.vm_flags import VM_READ, VM_WRITE
from mmlocks.mm.world import World
from mmlocks.scenarios.everyday import RECORD, comes_to
from mmlocks.scenarios.scenario import Scenario, expect

# -- a CPU that looks again ------------------------------------------------------------------------

PAGE = 6


async def faulter(world: World) -> None:
    await store(world.mm, address_of(PAGE, 0), 1)


async def follower(world: World) -> None:
    await store(world.mm, address_of(PAGE, 1), 2)


async def looker(world: World) -> None:
    await load(world.mm, address_of(PAGE, 1))
    await load(world.mm, address_of(PAGE, 1))


def page_of_zeros() -> World:
    made = World(3, {PAGE: None}, {0: [PAGE], 1: [PAGE]}, {}, slots=2, frames=1, forks=False)
    made.map("arena", PAGE, PAGE)
    return made


LOOK_AGAIN = Scenario(
    name="look_again",
    title=(
        "A CPU looks at a page twice, while another one gives it a frame and a third one stores "
        "to that"
    ),
    story=(
        "P6 was never touched. cpu2 loads from it twice. In between, cpu0 may store to P6, which "
        "gives the page a frame, and cpu1 may store to that frame. Then the second load must not "
        "see the page of zeros."
    ),
    threads=(
        ("stores P6[0] = 1", faulter),
        ("stores P6[1] = 2", follower),
        ("loads P6[1] twice", looker),
    ),
    world=page_of_zeros,
    stores=((PAGE, 0, 1), (PAGE, 1, 2)),
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

# -- a neighbour that goes away --------------------------------------------------------------------

HERE, NEXT = 3, 4


async def unmaps_next(world: World) -> None:
    await munmap(world.mm, NEXT * PAGE_SIZE, PAGE_SIZE)


async def touches_here(world: World) -> None:
    await store(world.mm, address_of(HERE), 1)


def neighbours() -> World:
    pages = {HERE: None, NEXT: None}
    made = World(2, pages, {1: [HERE]}, {}, slots=1, frames=2, referee=False, forks=False)
    made.map("heap", HERE, HERE, faulted=False)
    made.map("next", NEXT, NEXT)
    made.may_change(nodes=4)
    return made


TOUCH_BESIDE_MUNMAP = Scenario(
    name="touch_beside_munmap",
    title="A VMA is touched for the first time while its neighbour is unmapped",
    story=(
        "Two VMAs beside each other. cpu1 stores to the first one, which was never touched, so "
        "its fault looks at the neighbours. cpu0 unmaps the second one."
    ),
    threads=(("unmaps P4", unmaps_next), ("stores P3 = 1, for the first time", touches_here)),
    world=neighbours,
    oracles=(
        "freed_vma",
        "freed_node",
        "freed_anon_vma",
        "misfiled",
        "stray_page",
        "references",
        "held_at_end",
    ),
    expected=expect(),
    source="2ac0af1b66e3: a fault that has to look at the neighbours does so under mmap_lock",
)

# -- memory that comes back ------------------------------------------------------------------------

PLACE = 5


async def unmaps(world: World) -> None:
    await munmap(world.mm, PLACE * PAGE_SIZE, PAGE_SIZE)


async def maps(world: World) -> None:
    place = PLACE * PAGE_SIZE
    if await mmap(world.mm, place, PAGE_SIZE, VM_READ | VM_WRITE, MAP_PRIVATE) == place:
        await store(world.mm, place, 1)
        await comes_to(
            "a load of P5, which was mapped anew and stored to,", 1, load(world.mm, place)
        )


def place_to_map() -> World:
    # If P5 is taken, the kernel chooses the highest page below mmap_base.
    pages = {PLACE: (7,)}
    made = World(2, pages, {1: [PLACE]}, {}, slots=1, frames=3, referee=False, forks=False)
    made.map("heap", PLACE, PLACE)
    made.may_change(nodes=4, vmas=2)
    return made


MAP_AGAIN = Scenario(
    name="map_again",
    title="A page is unmapped, and mapped again by another CPU",
    story=(
        "cpu0 unmaps P5. cpu1 asks for memory there. If it gets P5, that page was free by then; "
        "cpu1 stores to it, and loads what it stored."
    ),
    threads=(("unmaps P5", unmaps), ("maps P5 if it is free, stores P5 = 1, loads it", maps)),
    world=place_to_map,
    oracles=(
        "promise",
        "freed_vma",
        "freed_node",
        "misfiled",
        "stray_page",
        "stale_translation",
        "references",
        "held_at_end",
    ),
    expected=expect(),
    source=RECORD,
)

RACES = (LOOK_AGAIN, TOUCH_BESIDE_MUNMAP, MAP_AGAIN)
