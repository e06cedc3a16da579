"""fork asks twice whether a VMA has anonymous pages, and the answer changes in between."""

from __future__ import annotations

from mmlocks.mm.address import address_of
from mmlocks.mm.user import fork, store
from mmlocks.mm.vm_flags import VM_ACCOUNT, VM_MAY_ACCESS, VM_READ
from mmlocks.mm.world import World
from mmlocks.scenarios.happened import anon_vma_during_fork
from mmlocks.scenarios.scenario import Scenario, expect

PAGE, BESIDE = 3, 4


async def forker(world: World) -> None:
    await fork(world.mm, world.child)


async def toucher(world: World) -> None:
    await store(world.mm, address_of(PAGE), 1)


def world() -> World:
    made = World(
        2, pages={PAGE: None, BESIDE: None}, faulting={1: [PAGE]}, cached={}, slots=1, frames=2
    )
    made.map("heap", PAGE, PAGE, faulted=False)
    made.map("constants", BESIDE, BESIDE, flags=VM_READ | VM_MAY_ACCESS | VM_ACCOUNT)
    return made


FORK_FIRST_TOUCH = Scenario(
    name="fork_first_touch",
    title="A VMA gets its first page, and its anon_vma, while fork copies it",
    story=(
        "A VMA that was never touched has no anon_vma, so fork gives the child's copy none, and "
        "has no pages to copy. cpu0 forks. cpu1 stores to the VMA for the first time, which "
        "gives it a page, and the anon_vma of its neighbour."
    ),
    threads=(("fork()", forker), ("stores P3 = 1, for the first time", toucher)),
    world=world,
    stores=((PAGE, 0, 1),),
    oracles=(
        "misfiled",
        "snapshot",
        "lost_store",
        "isolation",
        "stale_translation",
        "references",
        "held_at_end",
    ),
    expected=expect(),
    source=(
        "the message of fb49c455323f argues with it. In our reading 6.4 could not come there, "
        "since a fault on a VMA without an anon_vma took mmap_lock (2ac0af1b66e3); the search "
        "confirms that for this scenario"
    ),
    remark=(
        "It takes a kernel without that fall-back (6.4.0-first_fault_falls_back) to make it "
        "happen. None was ever released."
    ),
    happened={"misfiled": anon_vma_during_fork},
    explain={
        "misfiled": (
            "fork asks twice whether the VMA has an anon_vma: first to link the child's VMA to "
            "it, and later to decide whether there are pages to copy. A first fault in between "
            "makes the answers differ. Then the child maps a page that is filed in an anon_vma "
            "to which the child's VMA is not linked."
        ),
    },
)
