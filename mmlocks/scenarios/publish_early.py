"""mmap shows a VMA in the tree before the VMA is complete.

That is harmless while only anonymous memory has fast faults.
"""

from __future__ import annotations

from mmlocks.mm.address import PAGE_SIZE, address_of
from mmlocks.mm.fault import SegmentationFault
from mmlocks.mm.syscalls.mmap import MAP_FIXED, MAP_SHARED, mmap
from mmlocks.mm.user import load, store
from mmlocks.mm.vm_flags import VM_READ, VM_WRITE
from mmlocks.mm.world import World
from mmlocks.scenarios.happened import mapped_before_it_was_settled
from mmlocks.scenarios.scenario import Scenario, expect

PAGE = 4
FILE = "journal"


async def mapper(world: World) -> None:
    where, access = address_of(PAGE), VM_READ | VM_WRITE
    await mmap(world.mm, where, PAGE_SIZE, access, MAP_SHARED | MAP_FIXED, world.files[FILE])


async def guesser(world: World) -> None:
    try:
        await load(world.mm, address_of(PAGE))
        await store(world.mm, address_of(PAGE), 1)
    except SegmentationFault:
        return


def world() -> World:
    made = World(2, pages={PAGE: None}, faulting={}, cached={}, slots=1, referee=False, forks=False)
    made.file(FILE, pages=1, at=PAGE, notified=True)
    made.may_change(nodes=1, vmas=1)
    return made


PUBLISH_EARLY = Scenario(
    name="publish_early",
    title="A store to a file that the file system never hears of",
    story=(
        "cpu0 maps the file journal at P4, shared and writable. Its file system wants to be told "
        "of the first store to each page, so a page that was only read must stay read-only. cpu1 "
        "knows the address in advance: it reads P4, and if memory is mapped there, it stores 1."
    ),
    threads=(
        ("mmap(P4, journal, shared)", mapper),
        ("reads P4, then stores P4 = 1; gives up at a segmentation fault", guesser),
    ),
    world=world,
    oracles=("unnoticed_store", "references", "held_at_end"),
    expected=expect(),
    source=(
        "33313a747e81, which says that nothing suffers from it in 6.4, where file-backed memory "
        "has no fast faults"
    ),
    remark=(
        "No release ever had both the bug and a way to reach it: faults on files came to the VMA "
        "lock in 6.6 and 6.7, and the repair in 6.4.3. 6.6-like without new_vma_locked has both."
    ),
    happened={"unnoticed_store": mapped_before_it_was_settled},
    explain={
        "unnoticed_store": (
            "mmap put the VMA into the tree, where a fault found it and locked it, before it had "
            "settled whether entries for this memory may be writable. At first that followed "
            "from the flags alone: they may. So the page that cpu1 merely read got a writable "
            "entry, its store did not fault, and the file system was not told."
        ),
    },
)
