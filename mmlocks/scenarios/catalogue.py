"""All scenarios by name."""

from __future__ import annotations

import re

from mmlocks.errors import ModelError
from mmlocks.scenarios.anon_vma_unlocked_check import ANON_VMA_UNLOCKED_CHECK
from mmlocks.scenarios.asked import ALL, asked
from mmlocks.scenarios.everyday import EVERYDAY
from mmlocks.scenarios.everyday_races import RACES
from mmlocks.scenarios.fork_first_touch import FORK_FIRST_TOUCH
from mmlocks.scenarios.fork_lost_store import FORK_LOST_STORE
from mmlocks.scenarios.fork_many import MOST_VMAS, MOST_WRITERS, fork_many
from mmlocks.scenarios.fork_other_vma import FORK_OTHER_VMA
from mmlocks.scenarios.fork_somewhere import NAME as SOMEWHERE
from mmlocks.scenarios.fork_somewhere import PROCESSES, fork_somewhere
from mmlocks.scenarios.fork_torn_across_vmas import FORK_TORN_ACROSS_VMAS
from mmlocks.scenarios.fork_torn_snapshot import FORK_TORN_SNAPSHOT
from mmlocks.scenarios.fork_variants import FORK_VARIANTS, beside_named
from mmlocks.scenarios.from_file import is_in_file, scenario_in_file
from mmlocks.scenarios.imap_lock_order import IMAP_LOCK_ORDER
from mmlocks.scenarios.merge_dup_anon_vma import MERGE_DUP_ANON_VMA
from mmlocks.scenarios.munmap_downgrade import MUNMAP_DOWNGRADE
from mmlocks.scenarios.publish_early import PUBLISH_EARLY
from mmlocks.scenarios.scenario import Scenario
from mmlocks.scenarios.stack_expand_fault import STACK_EXPAND_FAULT
from mmlocks.scenarios.stack_find_again import STACK_FIND_AGAIN
from mmlocks.scenarios.stackrot import STACKROT
from mmlocks.scenarios.young_reproducer import YOUNG_REPRODUCER

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        FORK_LOST_STORE,
        FORK_TORN_SNAPSHOT,
        FORK_TORN_ACROSS_VMAS,
        FORK_OTHER_VMA,
        YOUNG_REPRODUCER,
        FORK_FIRST_TOUCH,
        STACK_EXPAND_FAULT,
        STACKROT,
        STACK_FIND_AGAIN,
        ANON_VMA_UNLOCKED_CHECK,
        MUNMAP_DOWNGRADE,
        MERGE_DUP_ANON_VMA,
        PUBLISH_EARLY,
        IMAP_LOCK_ORDER,
    )
}

VARIANTS: dict[str, Scenario] = {
    scenario.name: scenario for scenario in (*FORK_VARIANTS, *EVERYDAY, *RACES)
}
"""Scenarios without a story, for answers only. The truth table does not have them."""

GROWN = f"fork_lost_store grown to V VMAs (1 to {MOST_VMAS}) and N writers (1 to {MOST_WRITERS})"
"""What `fork_many_V_N` is."""


def scenario_named(name: str) -> Scenario:
    """The scenario of that name. `fork_many_2_3` is fork of two VMAs beside three writers.

    `fork_somewhere_N` was made for an answer (see there). `FILE.py:NAME` is one of your own, in a
    file. `NAME+all` is NAME as it is put to an answer. Raises ModelError, listing the names that
    exist.
    """
    if name.endswith(ALL):
        return asked(scenario_named(name.removesuffix(ALL)))
    if name in SCENARIOS:
        return SCENARIOS[name]
    if name in VARIANTS:
        return VARIANTS[name]
    if is_in_file(name):
        return scenario_in_file(name)
    made_for = re.fullmatch(rf"{SOMEWHERE}_([0-9]{{1,9}})", name)
    if made_for and int(made_for[1]) < PROCESSES:
        return fork_somewhere(int(made_for[1]))
    beside = beside_named(name)
    if beside is not None:
        return beside
    grown = re.fullmatch(r"fork_many_([0-9]{1,9})_([0-9]{1,9})", name)
    if grown:
        vmas, writers = int(grown[1]), int(grown[2])
        if 0 < vmas <= MOST_VMAS and 0 < writers <= MOST_WRITERS:
            return fork_many(vmas, writers)
        raise ModelError(
            f"there is no scenario called {name!r}: fork_many_V_N is {GROWN}. For example: "
            "fork_many_2_6."
        )
    raise ModelError(
        f"there is no scenario called {name!r}. Known scenarios: {', '.join(SCENARIOS)}; and "
        f"fork_many_V_N, which is {GROWN}. A scenario of your own, in a file, is called "
        "FILE.py:NAME."
    )
