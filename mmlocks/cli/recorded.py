"""The run that a schedule text on the command line describes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from mmlocks.cli.names import in_file, the_release, the_scenario
from mmlocks.errors import ModelError, ScheduleError

if TYPE_CHECKING:
    from mmlocks.machine import Run
    from mmlocks.mm.world import World
    from mmlocks.scenarios import Scenario


def replayed(
    text: str, answer: Path | None, also: tuple[str, ...], file: str | None
) -> tuple[Scenario, World, Run, str]:
    """Scenario, world and run of a schedule text, and the name of the kernel that it ran on."""
    from mmlocks.cli.answers import load_answer
    from mmlocks.machine import Schedule
    from mmlocks.mm.kernel import Kernel
    from mmlocks.scenarios import replay

    # A copied text may have the terminal's line breaks in it, and words before the schedule.
    schedule = Schedule.parse(re.sub(r"^.*?(?=mml\d+:)", "", "".join(text.split())))
    story = _recorded_with(schedule.scenario, file)
    release, *own = schedule.kernel.split("~")
    kernel, plain = None, the_release(release)
    if answer is not None:
        if not own:
            raise ScheduleError(
                f"this schedule was recorded on plain {release}, without an answer. "
                "Leave --answer out."
            )
        kernel = Kernel(plain, load_answer(answer).functions)
    return *replay(schedule, kernel, also, story), schedule.kernel


def _recorded_with(name: str, file: str | None) -> Scenario:
    """The scenario of a schedule: one of the course, or the one in that file."""
    if file is None:
        try:
            return the_scenario(name)
        except ModelError as problem:
            raise ModelError(f"{problem} For your own: --scenario FILE.py:NAME") from None
    if not in_file(file):
        raise ModelError(
            f"--scenario takes FILE.py:NAME, your own scenario in a file, not {file!r}."
        )
    return the_scenario(file)
