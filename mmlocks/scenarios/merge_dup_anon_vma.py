"""A VMA that is about to merge takes its neighbour's anon_vma before it is write-locked."""

from __future__ import annotations

from mmlocks.mm.address import PAGE_SIZE, address_of
from mmlocks.mm.syscalls.mmap import MAP_FIXED, MAP_PRIVATE, mmap
from mmlocks.mm.user import store
from mmlocks.mm.vm_flags import VM_READ, VM_WRITE
from mmlocks.mm.world import World
from mmlocks.scenarios.happened import anon_vma_before_the_link
from mmlocks.scenarios.scenario import Scenario, expect

LEFT, GAP, RIGHT = 3, 4, 5


async def mapper(world: World) -> None:
    await mmap(world.mm, GAP * PAGE_SIZE, PAGE_SIZE, VM_READ | VM_WRITE, MAP_PRIVATE | MAP_FIXED)


async def toucher(world: World) -> None:
    await store(world.mm, address_of(LEFT), 1)


def world() -> World:
    made = World(
        2,
        pages={LEFT: None, GAP: None, RIGHT: (6,)},
        faulting={1: [LEFT]},
        cached={},
        slots=1,
        forks=False,
    )
    made.map("left", LEFT, LEFT, faulted=False)
    made.map("right", RIGHT, RIGHT)
    made.may_change(nodes=1, vmas=1)
    return made


MERGE_DUP_ANON_VMA = Scenario(
    name="merge_dup_anon_vma",
    title="A fault uses an anon_vma to which its VMA is not linked yet",
    story=(
        "Two VMAs with a page of free addresses between them; left was never touched, right was. "
        "cpu0 maps the gap: all three become one VMA, which is left, made longer, with right's "
        "anon_vma. cpu1 stores to left."
    ),
    threads=(("maps the gap", mapper), ("stores P3 = 1, in left", toucher)),
    world=world,
    stores=((LEFT, 0, 1),),
    oracles=(
        "misfiled",
        "freed_vma",
        "freed_node",
        "lost_store",
        "stale_translation",
        "references",
        "held_at_end",
    ),
    expected=expect("6.4.0", "6.4.1", "6.4.3", "prewalk"),
    source="d8ab9f7b644a (6.4.8), by Jann Horn",
    remark=(
        "In Linux it does lasting harm only if there is no memory for the link and the merge is "
        "given up: then the page stays filed in an anon_vma that may be freed. Here it counts "
        "from the moment when rmap would not find the page."
    ),
    happened={"misfiled": anon_vma_before_the_link},
    explain={
        "misfiled": (
            "The merge set left's anon_vma, which sends faults on left to the fast path, before "
            "it had write-locked left or linked it to that anon_vma. A fault in between files "
            "its page in an anon_vma from which no walk leads to left."
        ),
    },
)
