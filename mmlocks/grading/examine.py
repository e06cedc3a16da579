"""One submission, judged: its code runs in a process of its own, and the marks are made here."""

from __future__ import annotations

import contextlib
import linecache
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from mmlocks.errors import AnswerError, MmlocksError, Undecided
from mmlocks.grading.link import OUT_OF_TIME, clean
from mmlocks.grading.recording import Recording
from mmlocks.grading.remote import ReplacementsThere
from mmlocks.grading.sandbox import NONE, isolation, started
from mmlocks.labs.answer import Answer
from mmlocks.labs.cells import as_python
from mmlocks.labs.feedback import Feedback, feedback_on
from mmlocks.labs.files import read_source
from mmlocks.labs.lab import CheckResult, Finding, Judgement, Lab
from mmlocks.search import Budget
from mmlocks.search.verdict import Cancelled
from mmlocks.show.state_text import state_text

WALL = 120.0
"""Seconds of wall time for one submission."""
STATE_WIDTH = 64
"""Characters in a line of the states that feedback shows."""
GRACE = 5.0
"""Seconds more, after which work of ours that does not look at the clock is stopped, too."""


@dataclass(frozen=True)
class ExaminedCheck:
    """One check: what it is worth, and what was found. `schedule` is the text of a bad run."""

    name: str
    points: int
    of: int
    finding: Finding
    message: str
    schedule: str | None


@dataclass(frozen=True)
class Examined:
    """The result of one submission.

    `finding` is None if nothing was judged; `said` then says why. `isolation` is "bubblewrap" or
    "none". `eye` lists reasons for a person to look at the submission.
    """

    lab: str
    file: str
    finding: Finding | None
    points: int
    of: int
    checks: tuple[ExaminedCheck, ...]
    judged: str
    compared: str
    said: str
    isolation: str
    eye: tuple[str, ...]
    seconds: float
    feedback: Feedback | None = None
    states: tuple[str, ...] = ()
    """What the machine holds before the counterexample's first step, and after each one."""
    automaton: dict[str, Any] | None = None
    """What its code did (see `mmlocks.grading.recorded`); None if nothing was judged."""


class OutOfTime(BaseException):
    """Raised in work of ours that goes on after the wall time."""


def examine(
    lab: Lab,
    file: Path,
    *,
    budget: Budget | None = None,
    wall: float = WALL,
    require_isolation: bool = False,
    told: bool = False,
) -> Examined:
    """Judge the answer in a file, within `wall` seconds. The budget is for each search.

    With `told`, feedback for the author is made as well; a wrong answer takes longer then.
    It never raises for what a submission does. What cannot be judged gets 0 points, and a sentence.
    Raises AnswerError if isolation is required, and this machine has none.
    """
    if require_isolation and isolation().kind == NONE:
        raise AnswerError(f"{isolation().says} Isolation is required, so nothing was run.")
    begun = time.monotonic()
    taken = _Taken(lab, file, budget, begun + wall, told)
    try:
        with stopped_after(wall + GRACE):
            taken.run(wall)
    except OutOfTime:
        taken.late = taken.judgement is None  # making feedback costs no mark
    except Exception as problem:  # an error of ours must not end a class's marking
        taken.said = "The judge itself failed, so nothing was judged. Tell your teacher."
        taken.eye.append(f"the judge failed: {type(problem).__name__}: {clean(str(problem), 300)}")
        taken.judgement = None
    return taken.result(time.monotonic() - begun)


class _Taken:
    """One submission while it is judged."""

    def __init__(
        self, lab: Lab, file: Path, budget: Budget | None, deadline: float, told: bool
    ) -> None:
        self.told = told
        self.feedback: Feedback | None = None
        self.states: tuple[str, ...] = ()
        self.lab = lab
        self.file = file
        self.budget = budget
        self.deadline = deadline
        self.judgement: Judgement | None = None
        self.automaton: dict[str, Any] | None = None
        self.checks: tuple[ExaminedCheck, ...] = ()
        self.unproved = False
        self.judged = ""
        self.said = ""
        self.late = False
        self.eye: list[str] = []

    def run(self, wall: float) -> None:
        """Start the process, ask it, and keep what was found."""
        try:
            with started(self.file, wall) as running:
                link = running.link
                try:
                    recording = Recording(link)
                    there = ReplacementsThere(recording, running.text)
                    self.judged = there.judged
                    answer = Answer(there, {}, there.judged)
                    self.judgement = self.lab.judge(answer, self.budget, self._progress)
                    self.checks = tuple(map(examined_check, self.judgement.results))
                    self.automaton = recording.record(running.text, self.judgement)
                    if self.told:
                        self._try_to_tell(self.judgement)
                except Undecided as problem:
                    self.unproved, self.said = True, f"Not proved: {problem}."
                    self.automaton = recording.record(running.text)
                finally:
                    link.finish()
                    if link.broken and (link.hostile or self.judgement is None):
                        self.judgement, self.unproved, self.said = None, False, link.broken
                        self.eye.append(
                            "it breaks the rules of the pipe, which no honest answer does"
                            if link.hostile
                            else "its process ended, or did not come back"
                        )
        except MmlocksError as problem:
            if not self.said:
                self.said = str(problem)

    def _try_to_tell(self, judgement: Judgement) -> None:
        """Make the feedback. The marks are made already, and stay if that fails."""
        try:
            self._tell(judgement)
        except Exception as problem:
            self.feedback, self.states = None, ()
            why = f"{type(problem).__name__}: {clean(str(problem), 300)}"
            self.eye.append(f"its marks stand, and its feedback could not be made: {why}")

    def _tell(self, judgement: Judgement) -> None:
        """Make the feedback, while the process can still be asked."""
        with lines_known(self.file), contextlib.suppress(Cancelled):
            self.feedback = feedback_on(
                judgement.examination,
                judgement.results,
                self.judged,
                compared=judgement.compared,
            )
            failed = next((each for each in judgement.results if each.explained is not None), None)
            if self.feedback.counterexample is None or failed is None or failed.explained is None:
                return
            shown = failed.explained
            if shown.run is not None:
                run = shown.run.joined()
                self.states = tuple(
                    state_text(shown.world, run, at, STATE_WIDTH) for at in range(len(run) + 1)
                )

    def _progress(self, *_: float) -> bool:
        if time.monotonic() >= self.deadline:
            raise Cancelled(OUT_OF_TIME)
        return True

    def result(self, seconds: float) -> Examined:
        """What was found, once all has ended."""
        judgement = None if self.late else self.judgement
        if self.late:
            self.said = "The time for this submission is used up, and nothing was judged."
            self.eye.append("its time was used up")
        kind = isolation().kind
        if kind == NONE:
            self.eye.append("NOT ISOLATED: its code could have done anything on this machine")
        finding = judgement.finding if judgement is not None else None
        if judgement is None and self.unproved:
            finding = Finding.UNPROVED
        if finding is Finding.UNPROVED:
            self.eye.append("nothing wrong was found, and nothing was proved")
        return Examined(
            lab=self.lab.name,
            file=self.file.name,
            finding=finding,
            points=judgement.points if judgement is not None else 0,
            of=self.lab.points,
            checks=self.checks if judgement is not None else (),
            judged=self.judged,
            compared=judgement.compared if judgement is not None else "",
            said=self.said,
            isolation=kind,
            eye=tuple(self.eye),
            seconds=seconds,
            feedback=self.feedback if judgement is not None else None,
            states=self.states if judgement is not None else (),
            automaton=self.automaton if finding is not None else None,
        )


def examined_check(result: CheckResult) -> ExaminedCheck:
    """What is kept of a check."""
    schedule = result.shown.schedule if result.shown is not None else None
    return ExaminedCheck(
        result.check.name,
        result.points,
        result.check.points,
        result.finding,
        result.message,
        str(schedule) if schedule is not None else None,
    )


@contextlib.contextmanager
def lines_known(file: Path) -> Iterator[None]:
    """Let the lines of a submission be found by the names of its cells. Nothing of it is run."""
    names = []
    with contextlib.suppress(AnswerError):
        source = read_source(file)
        for cell in source.cells:
            text = as_python(cell.source, own=True)
            name = source.file_of(cell)
            linecache.cache[name] = len(text), None, text.splitlines(keepends=True), name
            names.append(name)
    try:
        yield
    finally:
        for name in names:
            linecache.cache.pop(name, None)


@contextlib.contextmanager
def stopped_after(seconds: float) -> Iterator[None]:
    """Raise OutOfTime in this code after so long, again and again. In the main thread only."""
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
        or signal.getitimer(signal.ITIMER_REAL) != (0.0, 0.0)
    ):
        yield
        return

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
