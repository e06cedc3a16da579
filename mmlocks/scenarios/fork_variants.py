"""fork in other address spaces: other pages, more VMAs, other sequence numbers, alone, and twice.

None of them tells a story of its own. They find answers that only fit the numbers of the stories:
"lock the first two VMAs", "lock below page 6", "lock what is called heap".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mmlocks.mm.address import address_of
from mmlocks.mm.mm_types import Pte
from mmlocks.mm.user import fork, load, store
from mmlocks.mm.vm_flags import VM_ACCOUNT, VM_MAY_ACCESS, VM_READ
from mmlocks.mm.world import PRIVATE, STACK, World
from mmlocks.scenarios.happened import fault_during_fork
from mmlocks.scenarios.scenario import Scenario, expect

READ_ONLY = VM_READ | VM_MAY_ACCESS | VM_ACCOUNT
ALONE = "what fork promises to a process with one thread (fork(2), POSIX)"
ZERO = "zero"
"""Stands for a page that was only loaded from so far: it maps the zero frame."""


@dataclass(frozen=True)
class Area:
    """A VMA to be mapped: its name, its first and last page, and what it allows.

    `locked` is the number of the last fork that locked it (-1: none did).
    """

    name: str
    first: int
    last: int
    locked: int
    flags: int = PRIVATE
    faulted: bool = True


def process(
    areas: Iterable[Area],
    pages: Mapping[int, Any],
    sequence: int,
    faulting: Mapping[int, Iterable[int]],
    cached: Mapping[int, Iterable[int]],
    cpus: int = 2,
    children: int = 1,
) -> World:
    """A process with these VMAs and pages, whose mm_lock_seq is `sequence`.

    A page holds a value, None (never touched), or ZERO.
    """
    values = {page: None if value in (None, ZERO) else (value,) for page, value in pages.items()}
    made = World(cpus, values, faulting, cached, slots=1, frames=2)
    for number in range(1, children):
        made.another_child(f"child{number + 1}")
    preset, table = made.layout.preset, made.mm.page_table
    for area in areas:
        vma = made.map(area.name, area.first, area.last, faulted=area.faulted, flags=area.flags)
        preset(vma.vm_lock_seq, area.locked)
        for page in range(area.first, area.last + 1):
            entry = table.pte[page].of(made.layout.initial) if page in values else None
            if entry is not None and area.flags == READ_ONLY:
                preset(table.pte[page], entry.wrprotected())
    for page, value in pages.items():
        if value == ZERO:
            preset(table.pte[page], Pte(made.memory.zero, False))
    preset(made.mm.mm_lock_seq, sequence)
    made.remember_history()
    return made


async def forker(world: World) -> None:
    await fork(world.mm, world.child)


# -- alone -----------------------------------------------------------------------------------------

TEXT, BUFFER, LIBRARY, UNTOUCHED, TOP = 1, 5, 10, 12, 15
ODDS = {
    TEXT: 3,
    BUFFER: None,
    BUFFER + 1: 5,
    BUFFER + 2: ZERO,
    BUFFER + 3: 7,
    LIBRARY: 2,
    UNTOUCHED: None,
    TOP - 1: None,
    TOP: 6,
}


def odds_and_ends() -> World:
    """One thread, with VMAs and pages of every kind that fork may meet."""
    return process(
        (
            Area("text", TEXT, TEXT, -1, READ_ONLY),
            Area("buffer", BUFFER, BUFFER + 3, 5),
            Area("library", LIBRARY, LIBRARY, 0, READ_ONLY),
            Area("reserve", UNTOUCHED, UNTOUCHED, 6, faulted=False),
            Area("[stack]", TOP - 1, TOP, -1, STACK),
        ),
        ODDS,
        sequence=7,
        faulting={0: [BUFFER + 2]},
        cached={0: [BUFFER + 1, TOP]},
        cpus=1,
    )


async def forks_and_stores(world: World) -> None:
    await fork(world.mm, world.child)
    await store(world.mm, address_of(BUFFER + 2), 1)


FORK_ALONE = Scenario(
    name="fork_alone",
    title="A process with one thread forks",
    story=(
        "Five VMAs: text and library can only be read, reserve was never touched, and buffer and "
        f"the stack have pages of every kind. cpu0 forks, and stores to P{BUFFER + 2}, which was "
        "only loaded from before. There is no other CPU."
    ),
    threads=(("forks, then stores", forks_and_stores),),
    world=odds_and_ends,
    oracles=(
        "snapshot",
        "lost_store",
        "isolation",
        "stale_translation",
        "references",
        "held_at_end",
    ),
    expected=expect(),
    source=ALONE,
    stores=((BUFFER + 2, 0, 1),),
)


# -- twice -----------------------------------------------------------------------------------------

GLOBALS, ARENA = 2, 7


def two_children() -> World:
    """One thread, and room for two children."""
    return process(
        (Area("globals", GLOBALS, GLOBALS, 0), Area("arena", ARENA, ARENA + 1, 1)),
        {GLOBALS: 4, ARENA: 5, ARENA + 1: None},
        sequence=2,
        faulting={0: [GLOBALS, ARENA]},
        cached={0: [GLOBALS]},
        cpus=1,
        children=2,
    )


async def forks_twice(world: World) -> None:
    first, second = world.children
    await fork(world.mm, first)
    await store(world.mm, address_of(GLOBALS), 1)
    await fork(world.mm, second)
    await store(world.mm, address_of(ARENA), 2)


FORK_TWICE = Scenario(
    name="fork_twice",
    title="A process with one thread forks twice",
    story=(
        f"Two VMAs. cpu0 forks, stores to P{GLOBALS}, which it now shares with its child, forks "
        f"again, and stores to P{ARENA}, which it shares with both. There is no other CPU."
    ),
    threads=(("forks, stores, forks again, stores again", forks_twice),),
    world=two_children,
    oracles=(
        "snapshot",
        "lost_store",
        "isolation",
        "stale_translation",
        "references",
        "held_at_end",
    ),
    expected=expect(),
    source=ALONE,
    stores=((GLOBALS, 0, 1), (ARENA, 0, 2)),
)


# -- torn elsewhere --------------------------------------------------------------------------------

LOW, MIDDLE, FRESH, FULL = 1, 6, 9, 11
"""Pages of the first, third and fourth VMA; the last two are of the same one."""
IN_TURN = (LOW, MIDDLE, FRESH, FULL)


async def writer(world: World) -> None:
    for page in IN_TURN:
        await store(world.mm, address_of(page), 1)


def four_vmas() -> World:
    """Four VMAs, stored to in their order.

    If a fault may enter a VMA whose first page fork has copied, the store after it may still be in
    time for what is copied later.
    """
    return process(
        (
            Area("lowest", LOW, LOW, -1),
            Area("constants", 3, 3, 0, READ_ONLY, faulted=False),
            Area("arena", MIDDLE, MIDDLE + 1, 4),
            Area("[stack]", FRESH, FULL, 3, STACK),
        ),
        {LOW: None, 3: None, MIDDLE: None, MIDDLE + 1: 8, FRESH: None, FRESH + 1: None, FULL: 6},
        sequence=5,
        faulting={1: IN_TURN},
        cached={},
    )


FORK_ELSEWHERE = Scenario(
    name="fork_elsewhere",
    title="The child sees a later store and not an earlier one, in another address space",
    story=(
        f"Four VMAs: lowest with P{LOW}, constants, arena, and a stack of three pages. cpu0 "
        f"forks. cpu1 stores 1 to P{LOW}, P{MIDDLE} and P{FRESH}, which were never touched, and "
        f"then to P{FULL}. A child that sees one of these stores must see those before it."
    ),
    threads=(
        ("fork()", forker),
        (f"stores 1 to {', '.join(f'P{page}' for page in IN_TURN)}", writer),
    ),
    world=four_vmas,
    oracles=(
        "snapshot",
        "lost_store",
        "isolation",
        "stale_translation",
        "references",
        "held_at_end",
    ),
    expected=expect("6.4.0", "6.4.1"),
    source="fork_torn_snapshot and fork_torn_across_vmas, in another address space",
    stores=tuple((page, 0, 1) for page in IN_TURN),
    happened={"snapshot": fault_during_fork},
    explain={
        "snapshot": (
            "fork takes the pages one after the other. A VMA that was copied, in part or whole, "
            "must stay locked until the last one has been."
        ),
    },
)

# -- what fork costs -------------------------------------------------------------------------------

LOWER, UPPER = (3, 4), (7, 8)
"""Two VMAs, each with a page that holds something, and one that was never touched."""


OTHERS = (5, 10, 12, 14)
"""Pages for more VMAs, which no CPU touches: beside the two, and above them."""

BESIDE = "fork_beside"
"""Begins the names of these processes: `fork_beside_2_8_1`."""


def beside_named(name: str) -> Scenario | None:
    """The scenario that `beside` calls so; None if there is none."""
    found = re.fullmatch(rf"{BESIDE}_([123])_([0-9]+)(?:_([1-9]))?", name)
    if found is None:
        return None
    cpus, page, more = int(found[1]), int(found[2]), int(found[3] or 0)
    known = page in (*LOWER, *UPPER) and more <= len(OTHERS)
    return beside(cpus, page, more) if known else None


def beside(cpus: int, stores_to: int, more: int = 0) -> Scenario:
    """Fork beside a store: cpu0 forks a process of two VMAs, and cpu1 stores to page `stores_to`.

    Each VMA has a page that was never touched. With one CPU there is no store.

    There are `more` VMAs of one page that was never touched either.
    """

    async def writer(world: World) -> None:
        await store(world.mm, address_of(stores_to), 1)

    async def idler(world: World) -> None:
        await load(world.mm, address_of(LOWER[0]))

    def world() -> World:
        return process(
            (
                Area("heap", *LOWER, 2),
                Area("stack", *UPPER, 2),
                *(Area(f"other{page}", page, page, 2) for page in OTHERS[:more]),
            ),
            {
                LOWER[0]: 5,
                LOWER[1]: None,
                UPPER[0]: None,
                UPPER[1]: 6,
                **dict.fromkeys(OTHERS[:more]),
            },
            sequence=3,
            faulting={1: [stores_to]} if cpus > 1 else {},
            cached={},
            cpus=cpus,
        )

    others = [(f"stores P{stores_to} = 1", writer), *[("is there", idler)] * cpus][: cpus - 1]
    return Scenario(
        name=f"{BESIDE}_{cpus}_{stores_to}" + (f"_{more}" if more else ""),
        title="fork, and a fault in one of two VMAs",
        story="Two VMAs. cpu0 forks, another CPU stores to a page that was never touched.",
        threads=(("fork()", forker), *others),
        world=world,
        oracles=("snapshot", "lost_store", "isolation", "references", "held_at_end"),
        expected=expect(),
        source="fork_other_vma, for either order of VMAs",
    )


FORK_VARIANTS = (FORK_ALONE, FORK_TWICE, FORK_ELSEWHERE)
