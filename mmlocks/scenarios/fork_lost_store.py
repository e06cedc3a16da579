"""The bug of July 2023: a store was completed, and is gone."""

from __future__ import annotations

from mmlocks.mm.address import address_of
from mmlocks.mm.user import fork, load, store
from mmlocks.mm.world import World
from mmlocks.scenarios.happened import copied_while_written
from mmlocks.scenarios.scenario import Scenario, expect

PAGE = 3
MINE, YOURS = address_of(PAGE, 0), address_of(PAGE, 1)


async def forker(world: World) -> None:
    await fork(world.mm, world.child)


async def writer_with_translation(world: World) -> None:
    await store(world.mm, MINE, 1)
    await load(world.mm, MINE)


async def writer_without(world: World) -> None:
    await store(world.mm, YOURS, 2)


def world() -> World:
    made = World(3, pages={PAGE: (5, 6)}, faulting={1: [PAGE], 2: [PAGE]}, cached={1: [PAGE]})
    made.map("heap", PAGE, PAGE)
    return made


FORK_LOST_STORE = Scenario(
    name="fork_lost_store",
    title="A completed store vanishes while another thread forks",
    story=(
        "Three threads of one process share page P3, which holds 5 and 6. cpu0 forks. cpu1 has "
        "stored to P3 before, so its TLB knows the page as writable; it stores 1 to P3[0] and "
        "reads it back. cpu2 stores 2 to P3[1] and has no translation yet."
    ),
    threads=(
        ("fork()", forker),
        ("stores P3[0] = 1, reads it back", writer_with_translation),
        ("stores P3[1] = 2", writer_without),
    ),
    world=world,
    stores=((PAGE, 0, 1), (PAGE, 1, 2)),
    oracles=(
        "lost_store",
        "snapshot",
        "isolation",
        "stale_translation",
        "references",
        "held_at_end",
    ),
    expected=expect("6.4.0", "6.4.1"),
    source="fb49c455323f; bugzilla 217624; the list versions of the fix name the stale TLB entry",
    remark=(
        "We infer that users lost stores in this way: no trace of a real crash was ever published."
    ),
    happened={"lost_store": copied_while_written},
    explain={
        "lost_store": (
            "The page was copied while another CPU could still write to the old frame: fork had "
            "made the page read-only, but had not yet flushed the translation that this CPU had "
            "cached. Nothing kept the fault from going ahead before that flush. What the other "
            "CPU stored after the copy is in a frame that the page table no longer shows."
        ),
    },
)
