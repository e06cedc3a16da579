"""From a schedule's text back to the run that it describes."""

from __future__ import annotations

from mmlocks.errors import ScheduleError
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
    """The run that a schedule describes; `also` names oracles to ask besides the scenario's own.

    A schedule knows its scenario's name. One of your own has to be given: `scenario` is the Scenario, or `FILE.py:NAME`.

    Raises ScheduleError if the text is damaged, was recorded with another scenario than the one given, or with functions of somebody's own that
    `kernel` does not have.
    """
    if isinstance(schedule, str):
        schedule = Schedule.parse(schedule)
    scenario = as_scenario(scenario if scenario is not None else schedule.scenario)
    if scenario.name != schedule.scenario:
        raise ScheduleError(
            f"this schedule was recorded with the scenario {schedule.scenario}, and the one given is called {scenario.name}. "
            "Give the one that it was recorded with."
        )
    if kernel is None:
        if "~" in schedule.kernel:
            release, *own = schedule.kernel.removesuffix(APART).split("~")
            raise ScheduleError(
                f"this schedule was recorded on {release} with somebody's own {', '.join(f.split('.')[0] for f in own)}. "
                "Replay it where that function is: in the notebook, or with --answer FILE."
            )
        kernel = as_kernel(schedule.kernel)
    elif schedule.kernel.endswith(APART):
        kernel = kernel.taken_apart()
    if kernel.name != schedule.kernel:
        raise ScheduleError(
            f"this schedule was recorded on {schedule.kernel}, and the kernel here is {kernel.name}: "
            "the function has changed since. Run the check again for a fresh schedule."
        )
    if any(oracle.after is not None for oracle in scenario.judges(also)):
        # Such a rule is broken by what several paths do together. Search them again, and see whether this is the run that shows it.
        checked = check(scenario, kernel, also=also)
        if checked.verdict.schedule == schedule.cpus and checked.run is not None:
            return scenario, checked.world, checked.run
    machine, world = machine_for(scenario, kernel, also=also)
    return scenario, world, Run.replay(machine, schedule.cpus)
