"""What several commands print: scenarios, searches and runs, in words and as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmlocks.cli import terminal
from mmlocks.cli.terminal import ASIDE, Status
from mmlocks.explain.tools import Saying, what_tools_say
from mmlocks.machine import Run
from mmlocks.mm.world import World
from mmlocks.scenarios import Checked, Scenario
from mmlocks.show.text import blame, timeline, verdict_text

STATUS_OF_OUTCOME = {"safe": Status.FINE, "violated": Status.WRONG, "unproved": Status.UNPROVED}


def print_run(run: Run, world: World, scenario: Scenario | None) -> None:
    """Print the timeline of a run, with the explanation of its scenario if one is given."""
    text = timeline(run, world, scenario, width=terminal.width())
    terminal.write(text, paint=terminal.steps_painter(run.violation is not None))


def run_picture(scenario: Scenario, world: World, run: Run, step: int | None) -> str:
    """An SVG of the state after a step, or a storyboard of the whole run if `step` is None."""
    from mmlocks.show.state_picture import state_picture
    from mmlocks.show.storyboard import storyboard

    if step is None:
        return storyboard(world, run, title=scenario.title, ending=blame(run, world, scenario))
    return state_picture(world, run, step)


def print_replay(
    schedule: object, answer: Path | None = None, also: Sequence[str] = (), file: str = ""
) -> None:
    """Print the command that shows a run again."""
    extra = f" --answer {shlex.quote(str(answer))}" if answer is not None else ""
    terminal.paragraph("To see it again, or the state after step N with --step N:")
    terminal.command(f"mmlocks replay {shlex.quote(str(schedule))}{extra}{_options(also, file)}")


def explaining(
    schedule: object, answer: Path | None = None, also: Sequence[str] = (), file: str = ""
) -> str:
    """The command that explains a run."""
    extra = f" --answer {shlex.quote(str(answer))}" if answer is not None else ""
    return f"mmlocks explain {shlex.quote(str(schedule))}{extra}{_options(also, file)}"


def print_further(checked: Checked, also: Sequence[str] = (), file: str = "") -> None:
    """Print the commands that tell more about a scenario that goes wrong."""
    name = shlex.quote(file) if file else checked.scenario.name
    terminal.paragraph("To see why it goes wrong, and every result that the scenario can have:")
    terminal.command(explaining(checked.schedule, None, also, file))
    terminal.command(f"mmlocks endings {name} -r {checked.kernel.name}{_options(also)}")


def _options(also: Sequence[str], file: str = "") -> str:
    scenario = f" --scenario {shlex.quote(file)}" if file else ""
    return scenario + "".join(f" --also {shlex.quote(oracle)}" for oracle in also)


# -- a scenario that was searched ------------------------------------------------------------------


def print_checked(checked: Checked, also: Sequence[str] = (), file: str = "") -> None:
    """Print a verdict and, after a violation, the shortest run that shows it.

    `also` names the additional oracles. `file` is the scenario's `FILE.py:NAME` if it is not one
    of the course.
    """
    terminal.write(verdict_text(checked.verdict, checked.scenario, terminal.width()))
    if checked.run is not None:
        terminal.gap()
        print_run(checked.run, checked.world, checked.scenario)
        terminal.gap()
        print_tools(checked)
        print_replay(checked.schedule, also=also, file=file)
        print_further(checked, also, file)


def print_tools(checked: Checked) -> None:
    """Print what the kernel's own tools would have said about the run of a violation."""
    sayings = tools_of(checked)
    if sayings:
        terminal.paragraph("What Linux's own tools would have said about this run:")
    for saying in sayings:
        terminal.paragraph(f"{saying}.", "" if saying.found else ASIDE, indent=4)
    if sayings:
        terminal.gap()


def tools_of(checked: Checked) -> tuple[Saying, ...]:
    """What the tools say, as values. Empty if no run of the kernel shows a violation."""
    violation = checked.verdict.violation
    if violation is None or violation.oracle in ("mistake", "exception") or checked.run is None:
        return ()
    return what_tools_say(checked.world, checked.run, checked.kernel.release)


def print_expectation(checked: Checked) -> None:
    """Print the recorded outcome for this release, and whether the search agrees."""
    scenario, release = checked.scenario, checked.kernel.release.name
    expected = scenario.expected.get(release)
    if expected is None:
        terminal.paragraph(f"Nothing is on record for {release}.", ASIDE)
    elif expected == checked.verdict.outcome:
        terminal.paragraph(
            f"As expected of {release}: {expected}. Source: {scenario.source}.", ASIDE
        )
    else:
        terminal.paragraph(f"Expected of {release}: {expected}. Source: {scenario.source}.")
    if scenario.remark:
        terminal.paragraph(scenario.remark, ASIDE)


def checked_json(checked: Checked) -> dict[str, Any]:
    """A search for programs."""
    verdict = checked.verdict
    return {
        "scenario": checked.scenario.name,
        "release": checked.kernel.name,
        "verdict": verdict.outcome,
        "states": verdict.states,
        "transitions": verdict.transitions,
        "seconds": round(verdict.seconds, 6),
        "schedule": schedule_text(checked.schedule),
        "violation": violation_json(checked),
        "endings": verdict.endings,
        "executions": verdict.executions,
        "searched": verdict.searched,
        "left_out": verdict.left_out,
        "reason": verdict.reason,
        "minimal": verdict.minimal,
        "expected": checked.scenario.expected.get(checked.kernel.release.name),
        "tools": [saying._asdict() for saying in tools_of(checked)],
    }


def violation_json(checked: Checked | None) -> dict[str, Any] | None:
    """A violation for programs.

    `step` is the last step of the schedule, counted from 1. It is null if no schedule shows it.
    """
    if checked is None or checked.verdict.violation is None:
        return None
    oracle, message = checked.verdict.violation
    schedule = checked.verdict.schedule
    return {
        "oracle": oracle,
        "message": message,
        "step": None if schedule is None else len(schedule),
    }


def schedule_text(schedule: object | None) -> str | None:
    return None if schedule is None else str(schedule)


# -- scenarios -------------------------------------------------------------------------------------


def print_scenario(scenario: Scenario) -> None:
    """Print one entry of the list of scenarios."""
    violated = [release for release, outcome in scenario.expected.items() if outcome == "violated"]
    expected = f"violated on {', '.join(violated)}" if violated else "safe on every release"
    terminal.write(scenario.name, terminal.TITLE)
    terminal.paragraph(f"{scenario.title}.", indent=4)
    terminal.paragraph(
        f"{scenario.cpus} CPUs. Expected: {expected}.",
        terminal.BAD if violated else terminal.GOOD,
        indent=4,
    )
    if scenario.remark:
        terminal.paragraph(scenario.remark, ASIDE, indent=4)


def scenario_json(scenario: Scenario) -> dict[str, Any]:
    """A scenario for programs."""
    return {
        "name": scenario.name,
        "cpus": scenario.cpus,
        "title": scenario.title,
        "story": scenario.story,
        "expected": dict(scenario.expected),
        "source": scenario.source,
        "remark": scenario.remark,
    }
