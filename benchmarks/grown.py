"""Programs that grow along one axis each while the rest stays as it is: the number of CPUs, of VMAs, or of steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from mmlocks.machine import Machine
from mmlocks.mm.address import address_of
from mmlocks.mm.user import store
from mmlocks.mm.world import World
from mmlocks.scenarios import Scenario
from mmlocks.scenarios.fork_many import fork_many, forker


class Axis(NamedTuple):
    """`grown(size)` for each of `sizes` (with `quick`, of the first few); `what` says what stays the same."""

    name: str
    what: str
    sizes: tuple[int, ...]
    quick: int
    grown: Callable[[int], Scenario]


def fork_long(pages: int) -> Scenario:
    """cpu0 forks a process with one VMA of so many pages; cpu1 and cpu2 store to each of them in turn, each to a word of its own.

    Two CPUs beside fork however many pages there are: only the programs become longer.
    """
    numbers = range(1, pages + 1)

    async def first(world: World) -> None:
        for page in numbers:
            await store(world.mm, address_of(page, 0), 1)

    async def second(world: World) -> None:
        for page in numbers:
            await store(world.mm, address_of(page, 1), 1)

    def world() -> World:
        made = World(
            3,
            dict.fromkeys(numbers, (0, 0)),
            faulting={1: numbers, 2: numbers},
            cached={1: [1]},
            slots=2,
        )
        made.map("vma", 1, pages)
        return made

    return Scenario(
        name=f"fork_long_{pages}",
        title=f"fork of {pages} pages beside two writers",
        story=f"cpu0 forks a process with one VMA of {pages} pages; two other CPUs store to each of them.",
        threads=(
            ("fork()", forker),
            ("stores to every page", first),
            ("stores to every page", second),
        ),
        world=world,
        oracles=("lost_store", "isolation", "stale_translation", "references", "held_at_end"),
        expected={"6.3": "safe", "6.4.3": "safe"},
        source="fork_lost_store, grown",
    )


AXES = {
    axis.name: axis
    for axis in (
        Axis(
            "cpus", "fork, the others store; 2 VMAs", (2, 3, 4, 5), 3, lambda n: fork_many(2, n - 1)
        ),
        Axis(
            "vmas",
            "fork and 2 writers, a VMA for each",
            (2, 3, 4, 5, 6, 7),
            3,
            lambda v: fork_many(v, 2),
        ),
        Axis("steps", "fork and 2 writers; 1 VMA, more pages", (1, 2, 3, 4, 5), 3, fork_long),
    )
}


def in_order(machine: Machine) -> int:
    """Steps of the execution in which each CPU runs as far as it can before the next one does: the length of the program."""
    state, steps = machine.initial, 0
    while enabled := machine.enabled(state):
        taken = machine.step(state, enabled[0])
        if taken is None or taken.violation is not None:
            break
        state, steps = taken.state, steps + 1
    return steps
