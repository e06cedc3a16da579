"""Stories: what runs, in which memory, and which endings are bad. One story per file."""

from mmlocks.scenarios.asked import asked
from mmlocks.scenarios.catalogue import SCENARIOS, VARIANTS, scenario_named
from mmlocks.scenarios.checking import Checked, check, machine_for
from mmlocks.scenarios.replaying import replay, replay_text
from mmlocks.scenarios.scenario import Scenario

__all__ = [
    "SCENARIOS",
    "VARIANTS",
    "Checked",
    "Scenario",
    "asked",
    "check",
    "machine_for",
    "replay",
    "replay_text",
    "scenario_named",
]
