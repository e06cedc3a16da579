"""All scenarios by name."""

from __future__ import annotations

from mmlocks.errors import ModelError
from mmlocks.scenarios.fork_lost_store import FORK_LOST_STORE
from mmlocks.scenarios.fork_other_vma import FORK_OTHER_VMA
from mmlocks.scenarios.fork_torn_snapshot import FORK_TORN_SNAPSHOT
from mmlocks.scenarios.scenario import Scenario
from mmlocks.scenarios.young_reproducer import YOUNG_REPRODUCER

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (FORK_LOST_STORE, FORK_TORN_SNAPSHOT, FORK_OTHER_VMA, YOUNG_REPRODUCER)
}


def scenario_named(name: str) -> Scenario:
    """The scenario of that name. Raises ModelError, listing the names there are."""
    try:
        return SCENARIOS[name]
    except KeyError:
        raise ModelError(
            f"there is no scenario called {name!r}. Known scenarios: {', '.join(SCENARIOS)}."
        ) from None
