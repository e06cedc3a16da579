"""What the author of an answer is told: data, from which all feedback is rendered.

A check cell, `mmlocks check` and a grader show the same: the marks, the shortest bad run with the
author's own line at each step, which of these lines matter, which known mistake the answer behaves
like, and after a success what Linux did and what was not judged.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mmlocks.errors import MmlocksError
from mmlocks.explain.slicing import Slice, runs_before, slice_of
from mmlocks.labs.checks import LIMITS
from mmlocks.labs.lab import SEVERITY, CheckResult, Examination
from mmlocks.labs.likeness import Known, Likeness, behaviour_in, known_in
from mmlocks.machine import Run
from mmlocks.machine.task import PACKAGE, Place
from mmlocks.mm.stubs import kernel_functions
from mmlocks.scenarios import Checked
from mmlocks.scenarios.asked import ALL
from mmlocks.search import Budget
from mmlocks.search.verdict import Meter

BEHAVIOURS = "behaviours.json"
"""In a lab's folder: how the wrong fixes of its bank behave. `tools/behaviours.py` writes it."""
DIAGNOSIS = Budget(states=300_000, seconds=5.0)
"""For each search that tells mistakes apart, and judges nothing."""
SLICING = Budget(states=200_000, seconds=3.0)
"""For finding out which steps matter."""

Spot = Callable[[Place], str]
"""How the author knows a place: `In [3], line 7` or `answer.py, line 7`."""


@dataclass(frozen=True)
class Line:
    """A line of the author's: where it stands, and its text."""

    spot: str
    number: int
    text: str

    def __str__(self) -> str:
        """The place, and the text if it is known."""
        return f"{self.spot}: {self.text}" if self.text else self.spot


@dataclass(frozen=True)
class Told:
    """A step of a bad run: what it does, in which kernel function, for which line of the author's.

    It `matters` if it is among the fewest steps whose order forces the violation.
    """

    number: int
    cpu: int
    function: str
    does: str
    line: Line | None
    matters: bool


@dataclass(frozen=True)
class Standing:
    """A line of the author's at which a CPU stands at the end, and whether it has begun it."""

    cpu: int
    line: Line
    begun: bool

    def __str__(self) -> str:
        stands = "is still in" if self.begun else "has not reached"
        yet = "" if self.begun else " yet"
        text = f": {self.line.text}" if self.line.text else ""
        return f"cpu{self.cpu} {stands} your line {self.line.number}{yet}{text}"


@dataclass(frozen=True)
class Counterexample:
    """A run that breaks a rule. `judged` names the larger scenario that it explains, if it does."""

    check: str
    scenario: str
    judged: str
    oracle: str
    message: str
    shortest: bool
    steps: tuple[Told, ...]
    lines: tuple[Line, ...]
    """The author's lines whose steps matter."""
    standing: tuple[Standing, ...]
    sliced: bool
    """Whether it was found out which steps matter."""
    schedule: str

    @property
    def why_smaller(self) -> str:
        """Why another scenario is shown than the one that judged; "" if it is the same."""
        if not self.judged:
            return ""
        return (
            f"It was judged in {self.judged}. The smaller {self.scenario} breaks the same rule in "
            "fewer steps, so its run is shown."
        )


@dataclass(frozen=True)
class Mark:
    """What one check says."""

    name: str
    points: int
    of: int
    finding: str
    about: str
    message: str


@dataclass(frozen=True)
class Feedback:
    """All that an author is told. `unjudged` says what a proof leaves out, after a success."""

    lab: str
    title: str
    judged: str
    finding: str
    points: int
    of: int
    marks: tuple[Mark, ...]
    counterexample: Counterexample | None
    likeness: Likeness | None
    linux: str
    unjudged: str

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return asdict(self)


def feedback_on(
    examination: Examination,
    results: Sequence[CheckResult],
    judged: str,
    spot: Spot = lambda place: place.spot,
    compared: str = "",
) -> Feedback:
    """The feedback on these results of an examination; `judged` is the answer's own sentence."""
    lab = examination.lab
    failed = next((result for result in results if result.shown is not None), None)
    passed = all(result.passed for result in results)
    finding = max((result.finding for result in results), key=SEVERITY.index)
    return Feedback(
        lab=lab.name,
        title=lab.title,
        judged=judged,
        finding=finding.value,
        points=sum(result.points for result in results),
        of=sum(result.check.points for result in results),
        marks=tuple(
            Mark(
                result.check.name,
                result.points,
                result.check.points,
                result.finding.value,
                result.check.about,
                result.message.replace(f" {LIMITS}", ""),
            )
            for result in results
        ),
        counterexample=counterexample_of(failed, spot) if failed is not None else None,
        likeness=likeness_of(examination) if failed is not None else None,
        linux=compared,
        unjudged=LIMITS if passed else "",
    )


def likeness_of(examination: Examination) -> Likeness | None:
    """The known mistake that a wrong answer behaves like. Searches what was not searched yet."""
    lab = examination.lab
    known = known_in(lab.folder / BEHAVIOURS)
    if not known:
        return None
    diagnose(examination)
    found = behaviour_in(examination.searched.items())
    return Known(known, lab.bank.mistakes).nearest(found)


def diagnose(examination: Examination) -> None:
    """Search the scenarios that tell mistakes apart; each within a small budget."""
    given = examination.budget or Budget()
    small = Budget(
        min(given.states, DIAGNOSIS.states),
        min(given.seconds, DIAGNOSIS.seconds),
        given.megabytes,
    )
    for name in examination.lab.diagnosis:
        examination.search(name, small)


def counterexample_of(result: CheckResult, spot: Spot) -> Counterexample | None:
    """The bad run that explains a result; None if there is none, or none that can be replayed."""
    checked = result.smaller or result.shown
    if checked is None or checked.verdict.violation is None:
        return None
    try:
        run = checked.run
    except MmlocksError:  # an answer that is not deterministic; its message says so
        return None
    if run is None or not len(run):
        return None
    telling = _Telling(checked, run, spot)
    oracle, message = checked.verdict.violation
    big = result.shown.scenario.name.removesuffix(ALL) if result.shown is not None else ""
    return Counterexample(
        check=result.check.name,
        scenario=checked.scenario.name.removesuffix(ALL),
        judged=big if result.smaller is not None else "",
        oracle=oracle,
        message=message,
        shortest=checked.verdict.minimal,
        steps=telling.steps(),
        lines=telling.lines(),
        standing=telling.standing(),
        sliced=telling.slice is not None and telling.slice.orders is not None,
        schedule=str(checked.schedule) if checked.schedule is not None else "",
    )


class _Telling:
    """A bad run, told to the author of its functions."""

    def __init__(self, checked: Checked, run: Run, spot: Spot) -> None:
        self.run = run
        self._spot = spot
        self._replaced = checked.kernel.replacements.keys()
        self.slice = self._sliced(checked)

    def _sliced(self, checked: Checked) -> Slice | None:
        if checked.of_all_runs or checked.verdict.violation is None:
            return None
        if checked.verdict.violation.oracle in ("mistake", "exception"):
            return None  # its message names the line
        try:
            return slice_of(self.run, Meter(SLICING, None))
        except MmlocksError:
            return None

    def steps(self) -> tuple[Told, ...]:
        """The steps of the run, as a reader sees them: what was taken together is one step."""
        joined, matters = self.run.joined(), set(self.slice.steps if self.slice else ())
        told, begin = [], 0
        for number in range(len(joined)):
            end = begin + 1
            while end < len(self.run) and self.run.states[end] != joined.states[number + 1]:
                end += 1
            cpu = joined.cpus[number]
            where = self._where(joined.states[number], cpu)
            told.append(
                Told(
                    number + 1,
                    cpu,
                    _function(where),
                    joined.told(number),
                    self._mine(where),
                    any(at + 1 in matters for at in range(begin, end)),
                )
            )
            begin = end
        return tuple(told)

    def lines(self) -> tuple[Line, ...]:
        """The author's lines that matter: their steps are in the slice, taken or still to come."""
        if self.slice is None:
            return ()
        moments = runs_before(self.run)
        events = {event for order in self.slice.orders or () for event in order[:2]}
        found = [
            self._mine(self._where(moment.state, event.cpu))
            for event, moment in moments.items()
            if event in events
        ]
        kept = dict.fromkeys(line for line in found if line is not None)
        return tuple(sorted(kept, key=lambda line: (line.spot.partition(", line")[0], line.number)))

    def standing(self) -> tuple[Standing, ...]:
        """Where each CPU that runs a function of the author's stands at the end."""
        found = []
        for cpu in self.run.machine.cpus:
            if cpu == self.run.cpus[-1]:
                continue
            line = self._mine(self._where(self.run.state, cpu))
            if line is None:
                continue
            own = [at for at, other in enumerate(self.run.cpus) if other == cpu]
            last = self._mine(self._where(self.run.states[own[-1]], cpu)) if own else None
            found.append(Standing(cpu, line, last == line))
        return tuple(found)

    def _where(self, state: int, cpu: int) -> tuple[Place, ...]:
        return self.run.machine.node(state, cpu).answer.where

    def _mine(self, where: tuple[Place, ...]) -> Line | None:
        """The innermost line of the author's, below the kernel function that it replaces."""
        begin = next((at for at, place in enumerate(where) if place.function in self._replaced), -1)
        if begin < 0:
            return None
        own = [place for place in where[begin:] if not place.file.startswith(str(PACKAGE))]
        if not own:
            return None
        place = own[-1]
        return Line(
            self._spot(place), place.line, linecache.getline(place.file, place.line).strip()
        )


def _function(where: tuple[Place, ...]) -> str:
    """The kernel function that a step belongs to; "" for the program's own instructions."""
    known = kernel_functions()
    return next((place.function for place in reversed(where) if place.function in known), "")
