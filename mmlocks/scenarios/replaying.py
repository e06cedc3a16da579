"""From a schedule's text back to the run that it describes."""

from __future__ import annotations

from mmlocks.errors import ModelError, ScheduleError
from mmlocks.machine import Run, Schedule
from mmlocks.mm.kernel import APART, Kernel
from mmlocks.mm.world import World
from mmlocks.scenarios.checking import as_kernel, as_scenario, check, machine_for
from mmlocks.scenarios.scenario import Scenario


def replay(
    schedule: Schedule | str,
    kernel: Kernel | None = None,
    also: tuple[str, ...] = (),
    scenario: Scenario | str | None = None,
) -> tuple[Scenario, World, Run]:
    """The run that a schedule describes; `also` names oracles besides the scenario's own.

    A schedule holds its scenario's name. A scenario of your own must be given as well: `scenario`
    is the Scenario, or `FILE.py:NAME`.

    Raises ScheduleError if the text is damaged, or if the scenario or the kernel is not the one
    that it was recorded with; ModelError for a scenario that is not known.
    """
    if isinstance(schedule, str):
        schedule = Schedule.parse(schedule)
    if scenario is None:
        try:
            scenario = as_scenario(schedule.scenario)
        except ModelError as problem:
            raise ModelError(
                f"{problem} For a schedule of one: replay(text, scenario='FILE.py:NAME')."
            ) from None
    scenario = as_scenario(scenario)
    if scenario.name != schedule.scenario:
        raise ScheduleError(
            f"this schedule was recorded with the scenario {schedule.scenario}, and the one given "
            f"is called {scenario.name}. Give the one that it was recorded with."
        )
    if kernel is None:
        if "~" in schedule.kernel:
            release, *own = schedule.kernel.removesuffix(APART).split("~")
            functions = ", ".join(function.split(".")[0] for function in own)
            raise ScheduleError(
                f"this schedule was recorded on {release} with an answer's {functions}. Replay "
                "it where that function is: in the notebook, or with --answer FILE."
            )
        kernel = as_kernel(schedule.kernel)
    elif schedule.kernel.endswith(APART):
        kernel = kernel.taken_apart()
    if kernel.name != schedule.kernel:
        raise ScheduleError(
            f"this schedule was recorded on {schedule.kernel}, and the kernel here is "
            f"{kernel.name}: the function has changed since. Run the check again for a fresh "
            "schedule."
        )
    if any(oracle.after is not None for oracle in scenario.judges(also)):
        # Several paths together break such a rule. Search them again: is this the run that shows
        # it?
        checked = check(scenario, kernel, also=also)
        if checked.verdict.schedule == schedule.cpus and checked.run is not None:
            return scenario, checked.world, checked.run
    machine, world = machine_for(scenario, kernel, also=also)
    return scenario, world, Run.replay(machine, schedule.cpus)


def replay_text(schedule: Schedule, scenario: Scenario | None) -> str:
    """What `replay` takes for this schedule: its text, and the file of a scenario of your own."""
    if scenario is None or not scenario.file:
        return str(schedule)
    return f'{schedule} (scenario="{scenario.file}")'
