"""Judgements: what must hold, whatever the interleaving.

Some oracles watch single steps: either inside the operations of `mmlocks.machine` and `mmlocks.mm`
(ORACLES says so), or from outside, as a watch. Others look at the state in which a program ended,
or, after a search that found nothing, at all that was learnt about the tasks. All are pure: they
see values and change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from mmlocks.errors import ModelError
from mmlocks.machine import Layout, Machine, Violation, Watch
from mmlocks.mm.world import World
from mmlocks.oracles.atomic import AtomicSleep
from mmlocks.oracles.bookkeeping import (
    frames_can_be_found,
    nothing_is_held,
    pages_have_areas,
    references_add_up,
    what_is_filed_can_be_found,
)
from mmlocks.oracles.discipline import Discipline
from mmlocks.oracles.lock_order import Afterwards, order_is_kept
from mmlocks.oracles.memory import (
    isolated,
    memory_is_what_was_stored,
    snapshot_is_one_moment,
    translations_are_current,
)
from mmlocks.oracles.whole import (
    anon_vmas_are_linked,
    child_is_whole,
    entries_are_sound,
    nothing_leaks,
    parent_is_as_before,
    stores_were_made,
)
from mmlocks.releases import Release

StateJudge = Callable[[World, int], Violation | None]
WatchMaker = Callable[[Layout, Release], Watch]
AfterJudge = Callable[[Machine], Afterwards | None]


class Oracle(NamedTuple):
    """A rule: its name, what it demands, and what judges it.

    `judge` is a function of final states, `watch` makes a watch, and `after` judges a machine that
    has been searched whole. A rule with none of them is checked inside operations, and is always
    on.
    """

    name: str
    demands: str
    judge: StateJudge | None = None
    watch: WatchMaker | None = None
    after: AfterJudge | None = None


ORACLES = {
    oracle.name: oracle
    for oracle in (
        # -- asked of the final state: some of every program, the others where it is asked for --
        Oracle("lost_store", "every load returns the value of the last completed store to that "
               "address, and so does memory at the end", memory_is_what_was_stored),
        Oracle("snapshot", "the child's memory is the parent's as it was at one moment",
               snapshot_is_one_moment),
        Oracle("isolation", "after fork, neither parent nor child can write where the other reads",
               isolated),
        Oracle("stale_translation", "no TLB disagrees with the page table at the end",
               translations_are_current),
        Oracle("references", "every frame's count is the number of page-table entries that map it",
               references_add_up),
        Oracle("held_at_end", "no lock is held at the end", nothing_is_held),
        Oracle("whole_child", "the child has a VMA of its own for each of its parent's, the same "
               "in all that fork copies, in a tree of its own", child_is_whole),
        Oracle("same_parent", "after fork, the parent's VMAs are as they were, and none is "
               "write-locked", parent_is_as_before),
        Oracle("sound_entries", "no page-table entry allows what its VMA forbids, or a store to "
               "a frame that has other users", entries_are_sound),
        Oracle("anon_vmas", "a VMA that has an anon_vma is linked to it, and an anon_vma counts "
               "the VMAs that are linked to it", anon_vmas_are_linked),
        Oracle("leak", "every VMA that no tree leads to has been freed", nothing_leaks),
        Oracle("stores_made", "every store that a program was to make has been completed",
               stores_were_made),
        Oracle("misfiled", "every anonymous frame is filed where rmap looks: in an anon_vma "
               "of each VMA that maps it, under the index that the VMA gives the page (watched in "
               "steps, too)", frames_can_be_found),
        Oracle("filed_wrong", "the same, for frames that were filed at all",
               what_is_filed_can_be_found),
        Oracle("stray_page", "no page is mapped where no VMA is", pages_have_areas),
        # -- watched in steps: always on, save the first --
        Oracle("stale_copy", "no other CPU's TLB can write to a frame while that frame is copied "
               "(where it is asked for): the lost store, one step before it can happen"),
        Oracle("unnoticed_store", "no first store to a page of a file that was not told of it"),
        Oracle("freed_frame", "no access to a frame that has been freed"),
        Oracle("freed_vma", "no access to a VMA, or to its lock, once it has been freed, and no "
               "VMA is freed while it is locked"),
        Oracle("freed_node", "no access to a node of the tree that has been freed"),
        Oracle("freed_anon_vma", "no VMA is linked to an anon_vma that has been freed"),
        Oracle("lock_misuse", "no CPU releases a lock that it does not hold"),
        # -- watches from outside, where it is asked for --
        Oracle("discipline", "every access holds the locks that the table of fields demands",
               watch=Discipline),
        Oracle("atomic_sleep", "no CPU waits for a semaphore inside an RCU read section, or with a "
               "spinlock held", watch=lambda layout, _: AtomicSleep(layout)),
        # -- judged after a search that found nothing else, where it is asked for --
        Oracle("lock_order", "locks are always taken in one order, whatever the interleaving: "
               "lockdep", after=order_is_kept),
        # -- asked by programs themselves --
        Oracle("promise", "a system call, and an access to memory, come to what is promised"),
        # -- watched by the machine, always on --
        Oracle("deadlock", "some CPU can always run until all are done, and no CPU waits for what "
               "it holds itself"),
        Oracle("exception", "no kernel function raises an exception"),
        Oracle("mistake", "every task keeps the machine's rules: awaited, deterministic, ending"),
    )
}  # fmt: skip


def oracle_named(name: str) -> Oracle:
    """The oracle of that name. Raises ModelError, listing the names that exist."""
    if name not in ORACLES:
        raise ModelError(
            f"there is no oracle called {name!r}. Known oracles: {', '.join(ORACLES)}."
        )
    return ORACLES[name]


def looks_afterwards(name: str) -> bool:
    """Whether the rule of that name judges all runs together.

    A program's `require` may name a rule that is not in ORACLES: such a rule does not.
    """
    return name in ORACLES and ORACLES[name].after is not None


def final_judge(world: World, oracles: Iterable[Oracle]) -> Callable[[int], Violation | None]:
    """One function that asks these oracles in turn about a final state."""
    judges = [oracle.judge for oracle in oracles if oracle.judge is not None]

    def judge_state(state: int) -> Violation | None:
        return next(
            (violation for judge in judges if (violation := judge(world, state)) is not None), None
        )

    return judge_state


def watches_for(layout: Layout, release: Release, oracles: Iterable[Oracle]) -> list[Watch]:
    """The watches among these oracles, for a machine with this layout."""
    return [oracle.watch(layout, release) for oracle in oracles if oracle.watch is not None]
