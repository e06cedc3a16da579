"""While a fault gives mmap_lock up and takes it again, its stack may grow, or be unmapped."""

from __future__ import annotations

from mmlocks.machine import require
from mmlocks.mm.address import PAGE_SIZE, address_of
from mmlocks.mm.fault import SegmentationFault
from mmlocks.mm.syscalls.munmap import munmap
from mmlocks.mm.user import load, store
from mmlocks.mm.world import STACK, World
from mmlocks.scenarios.happened import changed_while_lock_was_given_up
from mmlocks.scenarios.scenario import Scenario, expect

FURTHER, BELOW, TOP, ABOVE = 6, 7, 8, 9


async def grower(world: World) -> None:
    try:
        await store(world.mm, address_of(BELOW), 1)
    except SegmentationFault:
        return


async def unmapper(world: World) -> None:
    await store(world.mm, address_of(FURTHER), 2)
    await munmap(world.mm, FURTHER * PAGE_SIZE, 3 * PAGE_SIZE)
    try:
        await load(world.mm, address_of(BELOW))
    except SegmentationFault:
        return
    await require(
        False,
        "stray_page",
        f"P{BELOW} was unmapped, and can be read all the same: what lies above it has grown",
    )


def world() -> World:
    made = World(
        2,
        pages={FURTHER: None, BELOW: None, TOP: None},
        faulting={0: [BELOW], 1: [FURTHER]},
        cached={},
        slots=1,
        referee=False,
        forks=False,
    )
    made.map("stack", TOP, TOP, flags=STACK)
    made.map("library", ABOVE, ABOVE)
    made.may_change(nodes=2)
    return made


STACK_FIND_AGAIN = Scenario(
    name="stack_find_again",
    title="The stack is unmapped while the fault that grows it has no lock",
    story=(
        "cpu0 stores to P7, just below the stack. mmap_lock cannot be upgraded from reading to "
        "writing: the fault gives it up and takes it again, for writing. cpu1 stores to P6, so "
        "that the stack grows further than cpu0 asks for, and then unmaps all of it; above lies "
        "a library. If cpu1 does either in between, cpu0 must not rely on what it saw before: at "
        "the end, the stack is gone, and the library is where it was. cpu1 makes sure that P7 "
        "cannot be read any more."
    ),
    threads=(
        ("stores P7 = 1, below the stack; gives up at a segmentation fault", grower),
        ("stores P6 = 2, further below, then unmaps the stack, and tries to read P7", unmapper),
    ),
    world=world,
    oracles=(
        "freed_vma",
        "freed_node",
        "stray_page",
        "misfiled",
        "stale_translation",
        "references",
        "held_at_end",
        "atomic_sleep",
    ),
    expected=expect(),
    source=(
        "c2508ec5a58d and 8d7071af8907 (6.4.1): lock_mm_and_find_vma looks the VMA up again "
        "after it has dropped the lock"
    ),
    happened={
        "freed_vma": changed_while_lock_was_given_up,
        "stray_page": changed_while_lock_was_given_up,
    },
    explain={
        "freed_vma": (
            "What was found under a lock is worth nothing once that lock has been given up. The "
            "VMA was unmapped and freed before mmap_lock was taken again; it has to be looked up "
            "a second time."
        ),
        "stray_page": (
            "What was computed under a lock is worth nothing, either. The stack grew further "
            "while cpu0 did not hold mmap_lock. If cpu0 then moves the start to where it wanted "
            "it before, the pages below belong to no VMA."
        ),
    },
)
