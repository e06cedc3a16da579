"""Two locks are taken in both orders: no deadlock here, and yet a mistake."""

from __future__ import annotations

from mmlocks.mm.address import PAGE_SIZE, address_of
from mmlocks.mm.syscalls.mmap import MAP_FIXED, MAP_SHARED, mmap
from mmlocks.mm.user import store
from mmlocks.mm.vm_flags import VM_READ, VM_WRITE
from mmlocks.mm.world import World
from mmlocks.scenarios.happened import locked_under_a_files_lock
from mmlocks.scenarios.scenario import Scenario, expect

HEAP, PAGE = 3, 5
FILE = "journal"


async def mapper(world: World) -> None:
    where, access = address_of(PAGE), VM_READ | VM_WRITE
    await mmap(world.mm, where, PAGE_SIZE, access, MAP_SHARED | MAP_FIXED, world.files[FILE])


async def writer(world: World) -> None:
    await store(world.mm, address_of(HEAP), 1)


def world() -> World:
    made = World(
        2,
        pages={HEAP: None, PAGE: None},
        faulting={1: [HEAP]},
        cached={},
        slots=1,
        referee=False,
        forks=False,
    )
    made.memory.reclaimable = made.file(FILE, pages=1, at=PAGE)
    made.map("heap", HEAP, HEAP)
    made.may_change(nodes=1, vmas=1)
    return made


IMAP_LOCK_ORDER = Scenario(
    name="imap_lock_order",
    title="i_mmap_rwsem before the VMA lock, and after it",
    story=(
        "cpu0 maps the file journal at P5. cpu1 stores to P3, which was never touched, while "
        "memory is short: before it gets a frame, it has to take journal's page from every "
        "process that maps it."
    ),
    threads=(("mmap(P5, journal, shared)", mapper), ("stores P3 = 1, which needs memory", writer)),
    world=world,
    oracles=("lock_order", "references", "held_at_end"),
    expected=expect(),
    source="1c7873e33645: lockdep found that 33313a747e81 had put the two locks in the wrong order",
    remark=(
        "No CPU can deadlock: the VMA that mmap waits for is not in the tree yet, so no other "
        "CPU holds its lock. But lockdep knows kinds of locks, not single ones. And a change of "
        "either function would raise the question again."
    ),
    happened={"lock_order": locked_under_a_files_lock},
    explain={
        "lock_order": (
            "mmap locked its new VMA while it held the file's i_mmap_rwsem, and a fault that "
            "needs memory takes i_mmap_rwsem while it holds the lock of its own VMA. If the two "
            "VMAs were the same, each could wait for the other for ever."
        ),
    },
)
