"""munmap goes on with mmap_lock held for reading only: a mark keeps late faults out."""

from __future__ import annotations

from mmlocks.mm.address import PAGE_SIZE, address_of
from mmlocks.mm.fault import SegmentationFault
from mmlocks.mm.syscalls.munmap import munmap
from mmlocks.mm.user import load, store
from mmlocks.mm.vm_flags import VM_MAY_ACCESS, VM_READ
from mmlocks.mm.world import World
from mmlocks.scenarios.happened import locked_though_detached
from mmlocks.scenarios.scenario import Scenario, expect

HEAP, DATA = 3, 4


async def unmapper(world: World) -> None:
    await munmap(world.mm, HEAP * PAGE_SIZE, 2 * PAGE_SIZE)


async def toucher(world: World) -> None:
    try:
        await load(world.mm, address_of(DATA))
        await store(world.mm, address_of(HEAP), 1)
    except SegmentationFault:
        return


def world() -> World:
    made = World(
        2,
        pages={HEAP: None, DATA: None},
        faulting={1: [HEAP]},
        cached={},
        slots=1,
        referee=False,
        forks=False,
    )
    made.map("heap", HEAP, HEAP)
    dictionary = made.file("dictionary", pages=1, at=DATA)
    made.map("data", DATA, DATA, faulted=False, flags=VM_READ | VM_MAY_ACCESS, file=dictionary)
    made.may_change(nodes=2)
    return made


MUNMAP_DOWNGRADE = Scenario(
    name="munmap_downgrade",
    title="A fault finds a VMA that munmap has taken out of the tree",
    story=(
        "cpu0 unmaps heap and data at once; data is a file that is only read. To let faults "
        "elsewhere go on while it frees the pages, it downgrades mmap_lock, which unlocks every "
        "VMA, also those that it has just taken out of the tree. cpu1 loads from data and stores "
        "to the heap; it may have found either VMA before."
    ),
    threads=(
        ("unmaps heap and data", unmapper),
        ("loads P4, in data, and stores P3 = 1, in the heap", toucher),
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
    ),
    expected=expect(),
    source=(
        "mm/mmap.c do_vmi_align_munmap() and vma_mark_detached(), the mark itself (457f67be5910)"
    ),
    remark=(
        "No release lacks the mark. The scenario shows what the mark is for: see what happens to "
        "a kernel that ignores it. Once munmap is over, a fault could tell by the missing "
        "anon_vma that the heap is gone, but not that data is gone. And faults on files lock "
        "nothing but the VMA: the first of them since 6.6, most since 6.7."
    ),
    happened={"freed_vma": locked_though_detached},
    explain={
        "freed_vma": (
            "mmap_write_downgrade adds one to mm_lock_seq, so that no VMA is write-locked any "
            "more. A fault that found the VMA before it left the tree can now lock it. Unless it "
            "sees by the detached mark that the VMA is out of the tree, it works on a VMA that "
            "is being freed."
        ),
    },
)
