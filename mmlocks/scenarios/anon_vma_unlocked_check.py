"""A fault sees an anon_vma, then locks the VMA: by then the anon_vma may be gone."""

from __future__ import annotations

from mmlocks.mm.address import PAGE_SIZE, address_of
from mmlocks.mm.syscalls.mremap import MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE, mremap
from mmlocks.mm.syscalls.munmap import munmap
from mmlocks.mm.user import load, store
from mmlocks.mm.world import World
from mmlocks.scenarios.happened import asked_before_the_lock
from mmlocks.scenarios.scenario import Scenario, expect

HERE, NEXT, THERE = 3, 4, 7


async def mover(world: World) -> None:
    here, there = HERE * PAGE_SIZE, THERE * PAGE_SIZE
    await mremap(
        world.mm,
        here,
        PAGE_SIZE,
        PAGE_SIZE,
        MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
        there,
    )
    await munmap(world.mm, NEXT * PAGE_SIZE, PAGE_SIZE)


async def toucher(world: World) -> None:
    await load(world.mm, address_of(HERE))  # so that the store may find the zero frame there
    await store(world.mm, address_of(HERE), 1)


def world() -> World:
    made = World(
        2,
        pages={HERE: None, NEXT: None, THERE: None},
        faulting={1: [HERE]},
        cached={},
        slots=1,
        frames=2,
        referee=False,
        forks=False,
    )
    made.map("heap", HERE, HERE)
    made.map("next", NEXT, NEXT)
    made.may_move(HERE, THERE)
    made.may_change(nodes=4, vmas=1)
    for vma in made.mm.vmas:
        vma.spare_anon_vmas.set_aside(1)
    return made


ANON_VMA_UNLOCKED_CHECK = Scenario(
    name="anon_vma_unlocked_check",
    title="The anon_vma that a fault has seen is gone when it has locked the VMA",
    story=(
        "Two VMAs beside each other, heap and next. Both had a page once and gave it back, so "
        "both have an anon_vma. cpu0 moves the heap's memory elsewhere with "
        "mremap(MREMAP_DONTUNMAP), which leaves an empty heap without an anon_vma, and then "
        "unmaps next. cpu1 loads from the heap, then stores to it."
    ),
    threads=(
        ("mremaps the heap away, unmaps its neighbour", mover),
        ("loads P3, then stores P3 = 1, in the heap", toucher),
    ),
    world=world,
    oracles=(
        "freed_vma",
        "freed_node",
        "freed_anon_vma",
        "stray_page",
        "misfiled",
        "stale_translation",
        "references",
        "held_at_end",
    ),
    expected=expect("6.4.0", "6.4.1", "6.4.3", "6.4.8", "prewalk"),
    source="657b5146955e (6.4.10), by Jann Horn",
    remark=(
        "The commit speaks of the neighbour that is freed. Here the fault first meets the tree "
        "node that led to that neighbour: munmap has replaced it, and the fault walks over the "
        "tree without a lock that protects it."
    ),
    happened={"freed_vma": asked_before_the_lock, "freed_node": asked_before_the_lock},
    explain=dict.fromkeys(
        ("freed_vma", "freed_node"),
        "The fault asked for the anon_vma before it had locked the VMA, and mremap took it away "
        "in between. So the fault has to find one, and looks at the neighbours of its VMA. "
        "mmap_lock protects them, and this fault does not hold it: munmap may free them, and the "
        "nodes that lead to them, while the fault looks.",
    ),
)
