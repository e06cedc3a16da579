"""Stories: who runs, in which memory, and what would be a bad ending. One story per file."""

from mmlocks.scenarios.catalogue import SCENARIOS, scenario_named
from mmlocks.scenarios.replaying import replay
from mmlocks.scenarios.scenario import Checked, Scenario, check, machine_for

__all__ = ["SCENARIOS", "Checked", "Scenario", "check", "machine_for", "replay", "scenario_named"]
