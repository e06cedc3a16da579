"""fork beside many faults: a scenario that can be grown, to see how the search scales."""

from __future__ import annotations

import re

from mmlocks.machine import Swap
from mmlocks.mm.address import address_of
from mmlocks.mm.maple_node import SLOTS
from mmlocks.mm.user import fork, store
from mmlocks.mm.world import World
from mmlocks.scenarios.scenario import Scenario, Thread
from mmlocks.sentences import counted

MOST_VMAS = (SLOTS - 1) // 2
"""So many fit, with their gaps, into the one node as which the tree begins."""
MOST_WRITERS = 9
"""More writers only make searches that no budget can finish. `fork_many` itself takes more."""


async def forker(world: World) -> None:
    await fork(world.mm, world.child)


def fork_many(vmas: int, writers: int, alike: bool = False) -> Scenario:
    """Fork beside writers: cpu0 forks a process of `vmas` VMAs, each of one page.

    Each writer stores once: writer n to VMA n modulo `vmas`.

    The first writer has stored to its page before, so its TLB knows the page. The others fault if
    fork was there before them. With `alike`, the search takes those of the others that store to one
    VMA as alike, and follows one order of them.
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
            writers + 1,
            dict.fromkeys(pages, (0,) * slots),
            faulting=touched,
            cached=known,
            slots=slots,
        )
        for page in pages:
            made.map(f"vma{page}", page, page)
        return made

    def symmetries(world: World) -> tuple[Swap, ...]:
        others = range(1, writers)
        return tuple(
            _exchanged(world, pages[one % vmas], (one, one // vmas), (two, two // vmas))
            for one in others
            for two in others
            if alike and one < two and one % vmas == two % vmas
        )

    return Scenario(
        name=f"fork_many_{vmas}_{writers}",
        title=f"fork of {counted(vmas, 'VMA')} beside {counted(writers, 'writer')}",
        story=(
            f"cpu0 forks a process with {counted(vmas, 'VMA')} of one page{' each' * (vmas > 1)}; "
            f"{counted(writers, 'other CPU')} {'stores' if writers == 1 else 'store'} to "
            f"{'it' if vmas == 1 else 'them'}."
        ),
        threads=(
            ("fork()", forker),
            *((f"stores to VMA {n % vmas}", writer(n)) for n in range(writers)),
        ),
        world=world,
        oracles=("lost_store", "isolation", "stale_translation", "references", "held_at_end"),
        expected={"6.3": "safe", "6.4.3": "safe"},
        source="fork_lost_store, grown",
        symmetries=symmetries,
    )


def _exchanged(world: World, page: int, one: tuple[int, int], two: tuple[int, int]) -> Swap:
    """Exchange two writers, each given as its number and its slot, with all that is their own."""
    cpus = one[0] + 1, two[0] + 1
    pools = [world.memory.pools[page, cpu] for cpu in cpus]
    # The slots are exchanged in all frames of the page, and in what the referee knows of it.
    behind = [frame.name for frame in world.memory.behind[page] if frame is not world.memory.zero]
    slotted = [*behind, f"truth P{page}", f"past P{page}"]
    pairs = [(f"rcu.cpu{cpus[0]}", f"rcu.cpu{cpus[1]}")]
    pairs += [(f"{name}[{one[1]}]", f"{name}[{two[1]}]") for name in slotted]
    names = {a: b for pair in pairs for a, b in (pair, pair[::-1])}
    frames = {
        a.name: b.name
        for ours, theirs in zip(*pools, strict=True)
        for a, b in ((ours, theirs), (theirs, ours))
    }
    numbers = {str(a): str(b) for a, b in (cpus, cpus[::-1])}

    def renamed(name: str) -> str:
        name = names.get(name, name)
        name = re.sub(
            r"(?<=tlb)\d+(?= P)|(?<=\.reader)\d+$", lambda cpu: numbers.get(cpu[0], cpu[0]), name
        )
        return re.sub(r"^F\d+(?=$|[.\[])", lambda frame: frames.get(frame[0], frame[0]), name)

    return Swap(cpus, renamed)
