"""Judgements: what must hold, whatever the interleaving.

Some oracles watch single steps, inside the operations of `mmlocks.machine` and `mmlocks.mm` (they say so in ORACLES); the
others look at the state in which a program ended. All are pure: they see values and change nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from mmlocks.machine import Violation
from mmlocks.mm.world import World
from mmlocks.oracles.bookkeeping import nothing_is_held, references_add_up
from mmlocks.oracles.memory import (
    isolated,
    memory_is_what_was_stored,
    snapshot_is_one_moment,
    translations_are_current,
)

StateJudge = Callable[[World, int], Violation | None]


class Oracle(NamedTuple):
    """A rule: its name, what it demands, and the function that judges final states (None: it watches steps)."""

    name: str
    demands: str
    judge: StateJudge | None


ORACLES = {
    oracle.name: oracle
    for oracle in (
        Oracle("lost_store", "every load returns the value of the last completed store to that address, and so does memory "
               "at the end", memory_is_what_was_stored),
        Oracle("snapshot", "the child's memory is the parent's as it was at one moment", snapshot_is_one_moment),
        Oracle("isolation", "after fork, neither parent nor child can write where the other reads", isolated),
        Oracle("stale_translation", "no TLB disagrees with the page table at the end", translations_are_current),
        Oracle("stale_copy", "no other CPU's TLB can write to a frame while that frame is being copied (watched in steps, where "
               "it is asked for): the cause of the lost store, one step before it can happen", None),
        Oracle("references", "every frame's count is the number of page-table entries that map it", references_add_up),
        Oracle("held_at_end", "no lock is held when all is over", nothing_is_held),
        Oracle("freed_frame", "no access to a frame that has been freed (watched in steps)", None),
        Oracle("lock_misuse", "nobody releases a lock that it does not hold (watched in steps)", None),
        Oracle("deadlock", "some CPU can always run until all are done (watched by the machine)", None),
        Oracle("exception", "no kernel function raises an exception (watched by the machine)", None),
        Oracle("mistake", "every task keeps the machine's rules: awaited, deterministic, ending (watched by the machine)", None),
    )
}  # fmt: skip


def final_judge(world: World, names: tuple[str, ...]) -> Callable[[int], Violation | None]:
    """One function that asks these oracles in turn about a final state."""
    judges = [judge for name in names if (judge := ORACLES[name].judge) is not None]

    def judge_state(state: int) -> Violation | None:
        return next((violation for judge in judges if (violation := judge(world, state)) is not None), None)

    return judge_state
