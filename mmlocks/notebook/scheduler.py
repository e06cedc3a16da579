"""What a learner does with a run, without widgets: step, go back, search, paste."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from mmlocks.errors import MmlocksError, ModelError, ScenarioTooSmall, ScheduleError
from mmlocks.machine import Machine, Run, Schedule
from mmlocks.mm.kernel import APART, Kernel
from mmlocks.mm.world import World
from mmlocks.releases import (
    NEWEST,
    PATCHES,
    RELEASES,
    Patch,
    patch_named,
    release_named,
    split_name,
)
from mmlocks.scenarios import Checked, Scenario, check, machine_for, scenario_named
from mmlocks.search import Budget, Progress, Verdict
from mmlocks.search.exhaustive import explore
from mmlocks.search.shortest import shortest
from mmlocks.search.verdict import Meter
from mmlocks.sentences import counted
from mmlocks.show.state_text import state_text
from mmlocks.show.text import WIDTH, blame, timeline, verdict_text

PATIENCE = Budget(seconds=600.0)
"""For searches that a person waits for, and can cancel."""

TOGETHER = (
    "This run does not end badly by itself: the rule is about all runs together, and was asked of "
    "all of them once they had been searched. Here you see one part of what breaks it."
)


class PlayerSession:
    """A scenario under a kernel, a run of it, and the moment of the run that is shown.

    `run` may go on beyond `at`: going back loses nothing until a step of another CPU is taken.
    """

    def __init__(
        self,
        scenario: str | Scenario,
        release: str,
        replacements: Mapping[str, Callable[..., Any]] | None = None,
        apart: bool = False,
    ) -> None:
        self.replacements = dict(replacements or {})
        self.note = ""
        """An answer to the last request, if the blame line does not say all of it."""
        self.verdict: Verdict | None = None
        self._link(
            scenario_named(scenario) if isinstance(scenario, str) else scenario, release, apart
        )

    def _link(self, scenario: Scenario, release: str, apart: bool = False) -> None:
        kernel = Kernel(release_named(release), self.replacements, apart=apart)
        self.machine: Machine
        self.world: World
        self.machine, self.world = machine_for(scenario, kernel)
        self.scenario, self.kernel = scenario, kernel
        self._go(Run.of(self.machine))

    def _go(self, run: Run, note: str = "") -> None:
        self.run, self.at, self.note, self.verdict = run, len(run), note, None

    # -- what can be asked for --

    def step(self, cpu: int) -> None:
        """Let `cpu` take the next step from here."""
        here = self.here
        try:
            following = here.step(cpu)
        except ScenarioTooSmall as problem:
            self.note = f"Here the scenario ends: it is too small. {problem}."
            return
        if following is here:
            self.note = here.why_blocked(cpu) or f"cpu{cpu} cannot take a step now"
            return
        if self.at < len(self.run) and self.run.cpus[self.at] == cpu:
            self.at, self.note = self.at + 1, ""  # the step that the run has here: keep the rest
            return
        self._go(following)

    def back(self) -> None:
        """One step back. The step stays in the schedule, and `forward` repeats it."""
        self.seek(self.at - 1)

    def forward(self) -> None:
        """The next step of the schedule again."""
        self.seek(self.at + 1)

    def seek(self, at: int) -> None:
        """Look at the moment after `at` steps."""
        self.at, self.note = max(0, min(at, len(self.run))), ""

    def restart(self) -> None:
        """An empty schedule."""
        self._go(Run.of(self.machine))

    def change(self, scenario: str | None = None, release: str | None = None) -> None:
        """Another scenario or another release, from the start."""
        chosen = scenario_named(scenario) if scenario else self.scenario
        self._link(chosen, release or self.kernel.release.name)

    def find(self, progress: Progress | None = None) -> None:
        """Show the first violation that a search finds: usually a long run."""
        if self._asked_afterwards(progress):
            return
        found = explore(self.machine, Meter(PATIENCE, progress), remember=True)
        if found.schedule is not None:
            self._go(Run.replay(self.machine, found.schedule))
            self.note = (
                f"Found after {found.states:,} states: a bad run of {len(found.schedule)} steps. "
                "The first one found is rarely the clearest; press “shortest” for the one with the "
                "fewest interruptions."
            )
        else:
            self._no_violation(found.outcome, found.reason, found.states)

    def find_shortest(self, progress: Progress | None = None) -> None:
        """Show the violation with the fewest interruptions, then with the fewest steps."""
        if self._asked_afterwards(progress):
            return
        best = shortest(self.machine, Meter(PATIENCE, progress))
        if best is None:
            found = explore(self.machine, Meter(PATIENCE, progress))
            self._no_violation(found.outcome, found.reason, found.states)
            return
        self._go(Run.replay(self.machine, best.schedule))
        switches = sum(one != other for one, other in pairwise(best.schedule))
        steps = counted(len(best.schedule), "step")
        changes = counted(switches, "change")
        self.note = f"The shortest bad run: {steps}, {changes} of CPU."

    def prove(self, progress: Progress | None = None) -> Checked:
        """Search everything on a machine of its own: a thread may do it. Changes nothing here."""
        return check(self.scenario, self.kernel, PATIENCE, progress)

    def show_proof(self, checked: Checked) -> None:
        """Take over what `prove` has found."""
        if checked.of_all_runs:  # only the machine that was searched knows what was found
            self.machine, self.world = checked.machine, checked.world
            self._go(checked.run or Run.of(self.machine))
        elif checked.verdict.schedule is not None:
            self._go(Run.replay(self.machine, checked.verdict.schedule))
        elif checked.verdict.violation is not None:
            self.note = checked.verdict.violation.message
        self.verdict = checked.verdict

    def paste(self, text: str) -> None:
        """Show the run that a schedule describes. If it raises ScheduleError, nothing changes."""
        schedule = Schedule.parse(text)
        same = schedule.scenario == self.scenario.name
        other = self.scenario if same else scenario_named(schedule.scenario)
        own = "~" in schedule.kernel or bool(self.replacements)
        apart = schedule.kernel.endswith(APART)
        recorded, here = (name.removesuffix(APART) for name in (schedule.kernel, self.kernel.name))
        if own and not (same and recorded == here):
            raise ScheduleError(
                f"this schedule was recorded on {schedule.kernel}, and the kernel here is "
                f"{self.kernel.name}: a schedule fits only the functions that it was recorded with."
            )
        try:
            new = PlayerSession(other, schedule.kernel.split("~")[0], self.replacements, apart)
            run = Run.replay(new.machine, schedule.cpus)
        except ModelError as problem:
            raise ScheduleError(str(problem)) from None
        self.scenario, self.kernel = new.scenario, new.kernel
        self.machine, self.world = new.machine, new.world
        self._go(run)

    # -- what there is to see --

    @property
    def here(self) -> Run:
        """The run up to the moment that is shown."""
        return self.run.at(self.at)

    @property
    def schedule(self) -> Schedule:
        """The whole run as a schedule."""
        return Schedule(self.scenario.name, self.kernel.name, self.run.cpus)

    @property
    def kernel_text(self) -> str:
        """The release, what was added or taken out, and what it is, if its number does not say."""
        base, *changes = split_name(self.kernel.release.name)
        text = f"Linux {base}" if base.replace(".", "").isdigit() else base
        for change in changes:
            patch = patch_named(change[1:])
            text += f" {'with' if change[0] == '+' else 'without'} {patch.name}: “{_about(patch)}”"
        if not changes and text == base:
            text += f": {RELEASES[base].about}"
        yours = ", ".join(f"your {name}" for name in self.replacements)
        return f"{text} with {yours}" if yours else text

    @property
    def blame(self) -> str:
        """What went wrong; or what happened last, which CPUs cannot run, and why."""
        return blame(self.here, self.world)

    @property
    def explanation(self) -> str:
        """How a violation came about, where the scenario knows."""
        return self.scenario.explanation(self.world, self.here)

    @property
    def advice(self) -> str:
        """What to try next."""
        here = self.here
        if here.violation is not None:
            safe = self._safe_release()
            cure = f" Then choose release {safe} and press “prove it”: is it possible there?"
            return f"Drag the slider back to see where it went wrong.{cure if safe else ''}"
        if here.machine.finished(here.state):
            return (
                "This order of steps did no harm. Start over and try another, or press "
                "“find a bug”."
            )
        if self.at < len(self.run):
            return "You are looking back. A step of another CPU starts a new run from here."
        if not self.at:
            return "You are the scheduler: choose the CPU that takes the next step."
        return ""

    def text(self, width: int = WIDTH) -> str:
        """All of it in plain text."""
        head = f"{self.scenario.name} on {self.kernel.name}: {self.scenario.title}\n\n"
        told = ""
        if len(self.run):
            told = timeline(self.run, self.world, self.scenario, self.schedule, width) + "\n"
        return head + told + state_text(self.world, self.run, self.at, width)

    def verdict_text(self) -> str:
        """The outcome of the last proof in words, or ""."""
        return verdict_text(self.verdict, self.scenario, 10_000) if self.verdict is not None else ""

    def _asked_afterwards(self, progress: Progress | None) -> bool:
        """Ask the oracles that look at all runs together; whether one found something."""
        if not any(oracle.after for oracle in self.scenario.judges()):
            return False
        checked = self.prove(progress)
        if not checked.of_all_runs:
            return False
        self.show_proof(checked)
        self.verdict, self.note = None, TOGETHER
        return True

    def _no_violation(self, outcome: str, reason: str, states: int) -> None:
        if outcome == "safe":
            self.note = (
                f"No order of steps goes wrong here: all {states:,} states were searched. "
                "Press “prove it” for the whole verdict."
            )
        else:
            self.note = f"Nothing found, and not everything searched: {reason}."

    def _safe_release(self) -> str | None:
        """The release that cured it: the first safe one that was shipped since this one."""
        shipped = list(RELEASES.values())[: list(RELEASES).index(NEWEST.name) + 1]
        since = [release for release in shipped if release.date >= self.kernel.release.date]
        safe = (one.name for one in since if self.scenario.expected.get(one.name) == "safe")
        return next((name for name in safe if name != self.kernel.release.name), None)


def _about(patch: Patch) -> str:
    """What a patch does. If it continues the patch before it, what both do."""
    if not patch.about.startswith("... "):
        return patch.about
    known = list(PATCHES.values())
    return f"{_about(known[known.index(patch) - 1])} {patch.about.removeprefix('... ')}"


def trying(act: Callable[[], None]) -> str:
    """Do something; returns the sentence of the error that stopped it, or ""."""
    try:
        act()
    except MmlocksError as problem:
        text = str(problem)
        return text[:1].upper() + text[1:]
    return ""
