"""fork beside a CPU that stores, in an address space that is made for one answer.

An answer could fit all other scenarios and no other process. Here the pages, VMAs and sequence
numbers follow from a number, and the number from the answer's text: a change of the text changes
the process.
"""

from __future__ import annotations

from random import Random

from mmlocks.mm.address import address_of
from mmlocks.mm.kernel import Kernel
from mmlocks.mm.user import store
from mmlocks.mm.world import PRIVATE, STACK, World
from mmlocks.scenarios.fork_variants import READ_ONLY, Area, forker, process
from mmlocks.scenarios.happened import fault_during_fork
from mmlocks.scenarios.scenario import Scenario, expect

NAME = "fork_somewhere"
PROCESSES = 1_000_000
"""Numbers run from 0 to one less than this."""


def somewhere(kernel: Kernel) -> str:
    """The name of the scenario that is made for an answer."""
    return f"{NAME}_{number_of(kernel)}"


def number_of(kernel: Kernel) -> int:
    """The number that follows from the functions of an answer."""
    return Random(kernel.replacements.text).randrange(PROCESSES)


def fork_somewhere(number: int) -> Scenario:
    """cpu0 forks a process of three or four VMAs, and cpu1 stores to those that may be written to.

    It stores to one page of each, and to one page more of the last.
    """
    chooses = Random(number)
    sequence = chooses.randint(2, 9)
    areas: list[Area] = []
    pages: dict[int, int | None] = {}
    written: list[int] = []
    first = chooses.randint(1, 9)
    constants = chooses.choice((None, 0, 1, 2))
    for index in range(3):
        flags = STACK if index == 2 else PRIVATE
        length = chooses.randint(2 if index == 2 else 1, 3)
        last = first + length - 1
        areas.append(
            Area(
                f"area{chooses.randrange(1000)}.{index}",
                first,
                last,
                chooses.randint(-1, sequence - 1),
                flags,
            )
        )
        pages |= dict.fromkeys(range(first, last + 1))
        written.append(first)
        if index == 2:
            pages[last] = chooses.randint(2, 9)
            written.append(last)
        first = last + chooses.randint(2, 4)
        if index == constants:
            areas.append(
                Area(
                    "constants",
                    first,
                    first,
                    chooses.randint(-1, sequence - 1),
                    READ_ONLY,
                    faulted=False,
                )
            )
            pages[first] = None
            first += chooses.randint(2, 4)

    def world() -> World:
        return process(areas, pages, sequence, faulting={1: written}, cached={})

    async def writer(world: World) -> None:
        for page in written:
            await store(world.mm, address_of(page), 1)

    said = ", ".join(f"P{page}" for page in written)
    return Scenario(
        name=f"{NAME}_{number}",
        title=(
            "The child sees a later store and not an earlier one, in an address space that "
            "follows from the answer"
        ),
        story=(
            f"{len(areas)} VMAs. cpu0 forks. cpu1 stores 1 to {said}, in this order. A child that "
            "sees one of these stores must see those before it."
        ),
        threads=(("fork()", forker), (f"stores 1 to {said}", writer)),
        world=world,
        oracles=(
            "snapshot",
            "lost_store",
            "isolation",
            "stale_translation",
            "references",
            "held_at_end",
        ),
        expected=expect("6.4.0", "6.4.1"),
        source="fork_elsewhere, in another address space",
        stores=tuple((page, 0, 1) for page in written),
        happened={"snapshot": fault_during_fork},
        explain={
            "snapshot": (
                "fork takes the pages one after the other. A VMA that was copied, in part or "
                "whole, must stay locked until the last one has been."
            ),
        },
    )
