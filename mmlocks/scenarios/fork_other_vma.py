"""What the per-VMA lock was made for: a fault elsewhere does not wait for fork."""

from __future__ import annotations

from mmlocks.mm.address import address_of
from mmlocks.mm.user import fork, store
from mmlocks.mm.world import World
from mmlocks.scenarios.scenario import Scenario, expect

FIRST, FRESH, OTHER = 3, 7, 8


async def forker(world: World) -> None:
    await fork(world.mm, world.child)


async def writer_elsewhere(world: World) -> None:
    await world.child.page_table.pte[FIRST].wait_until_not(None)
    await store(world.mm, address_of(FRESH), 1)


def world() -> World:
    made = World(
        2,
        pages={FIRST: (5,), FRESH: None, OTHER: (6,)},
        faulting={1: [FRESH]},
        cached={},
        slots=1,
        frames=2,
    )
    made.map("heap", FIRST, FIRST)
    made.map("stack", FRESH, OTHER)
    return made


FORK_OTHER_VMA = Scenario(
    name="fork_other_vma",
    title="A fault in another VMA, while fork is under way",
    story=(
        "Two VMAs: heap (P3) and stack (P7, never touched so far, and P8). cpu0 forks. cpu1 "
        "waits until fork has copied the heap, then stores to P7, which is a page fault."
    ),
    threads=(("fork()", forker), ("once P3 is copied, stores P7 = 1", writer_elsewhere)),
    world=world,
    stores=((FRESH, 0, 1),),
    oracles=(
        "lost_store",
        "snapshot",
        "isolation",
        "stale_translation",
        "references",
        "held_at_end",
    ),
    expected=expect(),
    source="design goal of the per-VMA lock series (v4, 2023-02-27)",
    remark="Here the question is not safety but cost: can cpu1 finish before fork does?",
)
