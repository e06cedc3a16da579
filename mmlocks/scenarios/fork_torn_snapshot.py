"""A child that sees a later store and not an earlier one."""

from __future__ import annotations

from mmlocks.mm.address import address_of
from mmlocks.mm.user import fork, store
from mmlocks.mm.world import World
from mmlocks.scenarios.happened import fault_during_fork
from mmlocks.scenarios.scenario import Scenario, expect

FIRST, SECOND = 3, 4


async def forker(world: World) -> None:
    await fork(world.mm, world.child)


async def writer(world: World) -> None:
    await store(world.mm, address_of(FIRST), 1)
    await store(world.mm, address_of(SECOND), 1)


def world() -> World:
    made = World(
        2,
        pages={FIRST: None, SECOND: (6,)},
        faulting={1: [FIRST, SECOND]},
        cached={},
        slots=1,
        frames=2,
    )
    made.map("heap", FIRST, SECOND)
    made.remember_history()
    return made


FORK_TORN_SNAPSHOT = Scenario(
    name="fork_torn_snapshot",
    title="The child sees the second store and not the first",
    story=(
        "Two pages of one VMA: P3, never touched so far, and P4 = 6. cpu0 forks. cpu1 stores 1 "
        "to P3 and after that 1 to P4. A child that sees P4 = 1 must see P3 = 1, if its memory "
        "is to be its parent's at any one moment."
    ),
    threads=(("fork()", forker), ("stores P3 = 1, then P4 = 1", writer)),
    world=world,
    stores=((FIRST, 0, 1), (SECOND, 0, 1)),
    oracles=(
        "snapshot",
        "lost_store",
        "isolation",
        "stale_translation",
        "references",
        "held_at_end",
    ),
    expected=expect("6.4.0", "6.4.1"),
    source=(
        "our own observation on the model, from the order of steps in dup_mmap; no commit or "
        "report mentions it"
    ),
    remark=(
        "A model observation. Up to 6.3 users got a snapshot of one moment, because faults "
        "waited for fork. POSIX does not promise that to a multithreaded program, and no commit "
        "message mentions it. Our two pages stand for pages in different page tables: over "
        "neighbours, fork mostly holds one lock."
    ),
    happened={"snapshot": fault_during_fork},
    explain={
        "snapshot": (
            "fork takes the pages one after the other. Where faults go ahead meanwhile, the "
            "child gets one page from before a store and the next from after a later one. "
            "Flushing TLBs does not help: it is the fault that must wait."
        ),
    },
)
