"""Between giving mmap_lock up and taking it again, the stack that was to grow may be gone."""

from __future__ import annotations

from mmlocks.mm.address import PAGE_SIZE, address_of
from mmlocks.mm.fault import SegmentationFault
from mmlocks.mm.munmap import munmap
from mmlocks.mm.user import store
from mmlocks.mm.vm_flags import VM_ACCOUNT, VM_GROWSDOWN, VM_MAY_ACCESS, VM_READ, VM_WRITE
from mmlocks.mm.world import World
from mmlocks.scenarios.scenario import Scenario, expect

BELOW, STACK = 7, 8


async def grower(world: World) -> None:
    try:
        await store(world.mm, address_of(BELOW), 1)
    except SegmentationFault:
        return


async def unmapper(world: World) -> None:
    await munmap(world.mm, BELOW * PAGE_SIZE, 2 * PAGE_SIZE)


def world() -> World:
    made = World(
        2, pages={BELOW: None, STACK: None}, faulting={0: [BELOW]}, cached={}, slots=1, referee=False
    )
    made.map("stack", STACK, STACK, flags=VM_READ | VM_WRITE | VM_MAY_ACCESS | VM_ACCOUNT | VM_GROWSDOWN)
    made.may_change(nodes=2)
    return made


STACK_FIND_AGAIN = Scenario(
    name="stack_find_again",
    title="The stack is unmapped while the fault that grows it has no lock",
    story=(
        "cpu0 stores to P7, just below the stack. No lock can be upgraded from reading to writing: the fault gives mmap_lock up and takes it "
        "again, for writing. cpu1 unmaps the stack. If it does so in between, cpu0 gets a segmentation fault, and nothing else may happen."
    ),
    threads=(("stores P7 = 1, below the stack", grower), ("unmaps the stack", unmapper)),
    world=world,
    oracles=(
        "freed_vma",
        "freed_node",
        "stray_page",
        "misfiled",
        "stale_translation",
        "references",
        "held_at_end",
    ),
    expected=expect(),
    source="8d7071af8907: lock_mm_and_find_vma looks the VMA up again after it has dropped the lock",
    explain={
        "freed_vma": (
            "What was found under a lock is worth nothing once that lock has been given up. The VMA was unmapped and freed before mmap_lock was "
            "taken again; it has to be looked up a second time."
        ),
    },
)
