"""A stack grows during a fault, which reads one of vm_start and vm_pgoff before, one after."""

from __future__ import annotations

from mmlocks.mm.address import address_of
from mmlocks.mm.user import copy_to_user, store
from mmlocks.mm.world import STACK, World
from mmlocks.scenarios.happened import torn_start_and_offset
from mmlocks.scenarios.scenario import Scenario, expect

BELOW, FRESH, TOUCHED = 7, 8, 9


async def grower(world: World) -> None:
    await copy_to_user(world.mm, address_of(BELOW), 1)


async def toucher(world: World) -> None:
    await store(world.mm, address_of(FRESH), 2)


def world() -> World:
    made = World(
        2,
        pages={BELOW: None, FRESH: None, TOUCHED: (6,)},
        faulting={0: [BELOW], 1: [FRESH]},
        cached={},
        slots=1,
        forks=False,
    )
    made.map("stack", FRESH, TOUCHED, flags=STACK)
    return made


STACK_EXPAND_FAULT = Scenario(
    name="stack_expand_fault",
    title="A page is filed under a wrong index while the stack grows",
    story=(
        "A stack of two pages, of which P8 was never touched. cpu0 is in read(2), whose buffer "
        "lies in P7, just below the stack, which must grow. cpu1 stores to P8, inside it. To "
        "file its new page, cpu1 reads where the stack starts and which number its first page "
        "has; cpu0 changes both, one after the other."
    ),
    threads=(("read(2) to P7, below the stack", grower), ("stores P8 = 2, inside it", toucher)),
    world=world,
    stores=((BELOW, 0, 1), (FRESH, 0, 2)),
    oracles=(
        "misfiled",
        "lost_store",
        "stale_translation",
        "references",
        "freed_node",
        "freed_vma",
        "held_at_end",
        "atomic_sleep",
        "lock_order",
    ),
    expected=expect("6.1", "6.3", "6.4.0", "6.4.1", "speculative"),
    source=(
        "c137381f71ae, which says only that the VMA must be write-locked as mmap_lock is; the "
        "torn pair follows from the order of the stores in expand_downwards"
    ),
    remark=(
        "No harm to a user was ever reported. Up to 6.4.0, two faults that hold mmap_lock for "
        "reading could tear the pair as well: an observation on the model."
    ),
    happened={"misfiled": torn_start_and_offset},
    explain={
        "misfiled": (
            "Expansion moves vm_start and then vm_pgoff. A fault that reads one before and the "
            "other after computes an index that the page never has. Until the VMA is "
            "write-locked for the two stores, nothing keeps a fault that holds only the VMA lock "
            "from looking in between."
        ),
    },
)
