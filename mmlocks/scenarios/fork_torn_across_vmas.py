"""The torn snapshot with its pages in two VMAs: one lock after the other is not enough."""

from __future__ import annotations

from mmlocks.mm.world import World
from mmlocks.scenarios.fork_torn_snapshot import FIRST, SECOND, forker, writer
from mmlocks.scenarios.happened import fault_during_fork
from mmlocks.scenarios.scenario import Scenario, expect


def world() -> World:
    made = World(
        2,
        pages={FIRST: None, SECOND: (6,)},
        faulting={1: [FIRST, SECOND]},
        cached={},
        slots=1,
        frames=2,
    )
    made.map("heap", FIRST, FIRST)
    made.map("data", SECOND, SECOND)
    made.remember_history()
    return made


FORK_TORN_ACROSS_VMAS = Scenario(
    name="fork_torn_across_vmas",
    title="The child sees the second store and not the first, in two VMAs",
    story=(
        "Two VMAs of a page each: heap with P3, never touched so far, and data with P4 = 6. cpu0 "
        "forks. cpu1 stores 1 to P3 and after that 1 to P4. A child that sees P4 = 1 must see P3 "
        "= 1, if its memory is to be its parent's at any one moment."
    ),
    threads=(("fork()", forker), ("stores P3 = 1, then P4 = 1", writer)),
    world=world,
    stores=((FIRST, 0, 1), (SECOND, 0, 1)),
    oracles=("snapshot", "lost_store", "isolation", "references", "held_at_end"),
    expected=expect("6.4.0", "6.4.1"),
    source="as fork_torn_snapshot: our own observation on the model",
    remark=(
        "A model observation. It tells two repairs apart: a fork that unlocks each VMA once it "
        "has copied and flushed it loses no store, and yet its snapshot is torn."
    ),
    happened={"snapshot": fault_during_fork},
    explain={
        "snapshot": (
            "fork takes the VMAs one after the other. A VMA that was copied must stay locked "
            "until the last one has been, or the child gets one from before a store and the next "
            "from after a later one."
        ),
    },
)
