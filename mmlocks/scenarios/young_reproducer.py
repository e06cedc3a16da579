"""The public reproducer, in small: two threads take pieces of one buffer while a third forks."""

from __future__ import annotations

from mmlocks.mm.address import address_of
from mmlocks.mm.user import fetch_add, fork, load, store
from mmlocks.mm.world import World
from mmlocks.scenarios.happened import copied_while_written
from mmlocks.scenarios.scenario import Scenario, expect

TEXT, PAGE = 1, 3
NEXT = address_of(PAGE, 0)
"""The slot of the allocator's next free piece. Pieces 1 and 2 follow in the same page."""


async def forker(world: World) -> None:
    await fork(world.mm, world.child)


async def allocator(world: World) -> None:
    piece = await fetch_add(world.mm, NEXT, 1)
    address = address_of(PAGE, piece)
    await store(world.mm, address, "@")
    await load(world.mm, address)


def world() -> World:
    made = World(
        3,
        pages={TEXT: None, PAGE: (1, 0, 0)},
        faulting={1: [PAGE], 2: [PAGE]},
        cached={1: [PAGE]},
        slots=3,
    )
    made.map("text", TEXT, TEXT, faulted=False)
    made.map("buffer", PAGE, PAGE)
    return made


YOUNG_REPRODUCER = Scenario(
    name="young_reproducer",
    title="Two threads allocate from one buffer, a third forks",
    story=(
        "After the program in bugzilla 217624. cpu1 and cpu2 each take the next piece of a "
        "shared buffer (an atomic add to P3[0]), fill it with '@' and read it back. cpu0 forks. "
        "Neither thread ever touches the other's piece. cpu1 has used the page before, so its "
        "TLB knows it; cpu2's has forgotten it. The buffer is the process's second VMA."
    ),
    threads=(
        ("fork()", forker),
        ("takes a piece, fills it, reads it", allocator),
        ("takes a piece, fills it, reads it", allocator),
    ),
    world=world,
    stores=((PAGE, 0, 2), (PAGE, 0, 3), (PAGE, 1, "@"), (PAGE, 2, "@")),
    oracles=(
        "lost_store",
        "snapshot",
        "isolation",
        "stale_translation",
        "references",
        "held_at_end",
    ),
    expected=expect("6.4.0", "6.4.1"),
    source=(
        "bugzilla 217624 (reported for 6.4.1: about 99 in 100 failures are a mismatch on reading "
        "back)"
    ),
    remark=(
        "One fork, one piece per thread, a piece is one word, and the counter shares the "
        "buffer's page; the reporter's program forks for ever and fills 32 MiB in pieces of 128 "
        "bytes."
    ),
    happened={"lost_store": copied_while_written},
    explain={
        "lost_store": (
            "As in fork_lost_store: one thread's fault copied the page while the other could "
            "still store to the old frame through a translation that fork had not flushed yet, "
            "so that store is in a frame that is not read any more."
        ),
    },
)
