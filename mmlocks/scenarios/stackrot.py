"""StackRot, CVE-2023-3269: a tree node is freed while a CPU with mmap_lock for reading uses it."""

from __future__ import annotations

from mmlocks.mm.address import address_of
from mmlocks.mm.user import copy_from_user, copy_to_user
from mmlocks.mm.world import STACK, World
from mmlocks.scenarios.happened import walked_without_rcu
from mmlocks.scenarios.scenario import Scenario, expect

HEAP, LOWER, BETWEEN, UPPER = 3, 6, 7, 8


async def grower(world: World) -> None:
    await copy_from_user(world.mm, address_of(BETWEEN))


async def toucher(world: World) -> None:
    await copy_to_user(world.mm, address_of(HEAP), 2)


def world() -> World:
    made = World(
        2,
        pages={HEAP: None, LOWER: (5,), BETWEEN: None, UPPER: (6,)},
        faulting={0: [BETWEEN], 1: [HEAP]},
        cached={},
        slots=1,
        forks=False,
    )
    made.map("heap", HEAP, HEAP, faulted=False)
    made.map("lower", LOWER, LOWER, flags=STACK)
    made.map("upper", UPPER, UPPER, flags=STACK)
    made.may_change(nodes=1)
    return made


STACKROT = Scenario(
    name="stackrot",
    title="A tree node is freed while a fault walks over it",
    story=(
        "Two stacks with one free page between them, P7, and a heap that was never touched. cpu0 "
        "is in write(2), with its data in P7: the upper stack grows until it meets the lower "
        "one. Then the tree has no gap between them, so the node that held the gap is replaced "
        "and the old one is freed. cpu1 is in read(2), with its buffer in the heap; it looks for "
        "the VMA under mmap_lock held for reading."
    ),
    threads=(
        ("write(2) from P7, between the stacks", grower),
        ("read(2) to P3, in the heap", toucher),
    ),
    world=world,
    stores=((HEAP, 0, 2),),
    oracles=(
        "freed_node",
        "freed_vma",
        "misfiled",
        "lost_store",
        "stale_translation",
        "references",
        "held_at_end",
        "atomic_sleep",
    ),
    expected=expect("6.1", "6.3", "6.4.0", "speculative"),
    source="CVE-2023-3269 and its write-up; cured by 8d7071af8907 (6.1.37, 6.3.11, 6.4.1)",
    remark=(
        "Here the old node is freed as soon as no RCU reader can see it. In a real kernel a "
        "grace period passes first, and an attacker has to make the walk last longer than that."
    ),
    happened={"freed_node": walked_without_rcu},
    explain={
        "freed_node": (
            "A CPU that holds mmap_lock for reading expects that the tree does not change, "
            "so it walks the tree without an RCU read section. But stack expansion changed the "
            "tree under the same read lock. Where a node had to be replaced, the old one was "
            "freed after a grace period that waited for RCU readers only."
        ),
    },
)
