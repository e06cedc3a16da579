"""fork beside as many faults as you like: the scenario that is grown to see how the search scales."""

from __future__ import annotations

from mmlocks.mm.address import address_of
from mmlocks.mm.user import fork, store
from mmlocks.mm.world import World
from mmlocks.scenarios.scenario import Scenario, Thread


async def forker(world: World) -> None:
    await fork(world.mm, world.child)


def fork_many(vmas: int, writers: int) -> Scenario:
    """cpu0 forks a process of so many VMAs of one page each; each of the writers stores once, writer n to VMA n modulo their number.

    The first writer has stored to its page before, so its TLB knows the page; the others fault if fork has been there.
    """
    pages = [2 * number + 1 for number in range(vmas)]

    def writer(number: int) -> Thread:
        address = address_of(pages[number % vmas], number // vmas)

        async def thread(world: World) -> None:
            await store(world.mm, address, 1)

        return thread

    slots = -(-writers // vmas)

    def world() -> World:
        touched = {cpu: [pages[(cpu - 1) % vmas]] for cpu in range(1, writers + 1)}
        known = {1: touched[1]}
        made = World(
            writers + 1, dict.fromkeys(pages, (0,) * slots), faulting=touched, cached=known, slots=slots
        )
        for page in pages:
            made.map(f"vma{page}", page, page)
        return made

    return Scenario(
        name=f"fork_many_{vmas}_{writers}",
        title=f"fork of {vmas} VMAs beside {writers} writers",
        story=f"cpu0 forks a process with {vmas} VMAs of a page each; {writers} other CPUs store to them.",
        threads=(("fork()", forker), *((f"stores to VMA {n % vmas}", writer(n)) for n in range(writers))),
        world=world,
        oracles=("lost_store", "isolation", "stale_translation", "references", "held_at_end"),
        expected={"6.3": "safe", "6.4.3": "safe"},
        source="fork_lost_store, grown",
    )
