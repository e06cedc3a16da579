"""A lab in a notebook: checks that draw a counterexample and fail the cell, hints, the verdict."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from mmlocks.errors import AnswerError, MmlocksError
from mmlocks.labs import Answer, CheckResult, Judgement, Lab, lab_named
from mmlocks.labs.answer import as_answer
from mmlocks.labs.feedback import feedback_on
from mmlocks.labs.harmless import being_read
from mmlocks.machine.refused import guarded
from mmlocks.machine.task import Place
from mmlocks.notebook.parsons import Stage
from mmlocks.notebook.quiet import quiet
from mmlocks.notebook.results import (
    LONGEST,
    headline,
    result_html,
    result_text,
    short_text,
    wrapped,
)
from mmlocks.notebook.session import session
from mmlocks.scenarios import replay
from mmlocks.show.explained import explain
from mmlocks.show.results import Shown, in_lines

SWALLOWED = "\n\nWhat your functions print is not shown: a search runs them many times."


class CheckFailed(AssertionError):
    """A check failed. Its text is all that the learner needs: no traceback is shown."""

    def __init__(self, result: CheckResult | None, message: str) -> None:
        super().__init__(message)
        self.result = result

    def _render_traceback_(self) -> list[str]:
        """What IPython prints instead of a traceback."""
        return [str(self)]


@dataclass(frozen=True, repr=False)
class Recorded(Shown):
    """Something to look at whose output also says something to a grader, under `mmlocks`."""

    told: Mapping[str, Any] = field(default_factory=dict)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        """What Jupyter asks for: the data, and the metadata of the output."""
        return super()._repr_mimebundle_(include, exclude), {"mmlocks": self.told}


class LabInNotebook:
    """A lab in a notebook: `lab07 = lab("07")`, then `lab07.check("lost_store", globals())`.

    Without names, the globals of the caller are taken. While a file is read, the calls in its cells
    do nothing.
    """

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._hints: list[int] = []

    def check(self, name: str = "", names: Mapping[str, Any] | Answer | None = None) -> Shown:
        """Judge one property of the functions in `names`.

        Raises CheckFailed, after drawing the counterexample.
        """
        if being_read():
            return Shown("")
        names = _callers_names() if names is None else names
        try:
            if not isinstance(name, str) or not name:
                raise AnswerError(
                    f"write the name of a check first, as in {self._called}.check("
                    f'"{self.lab.checks[0].name}", globals()). {self.lab.name} has: '
                    f"{', '.join(check.name for check in self.lab.checks)}."
                )
            with guarded(), quiet() as swallowed:
                answer = _answer(names)
                chosen = self.lab.check_named(name)
                examination = self.lab.examination(answer)
                result = examination.result(chosen)
                told = feedback_on(examination, [result], answer.judged, _spot)
                text = result_text(result, told)
                html = result_html(result, told)
        except MmlocksError as problem:
            raise CheckFailed(None, wrapped(str(problem))) from None
        if result.passed:
            return Shown(text, lambda: html)
        if result.run is not None:
            _display(Shown(text, lambda: html))
        said = f"{short_text(result, told)}{SWALLOWED if swallowed.any else ''}"
        raise CheckFailed(result, said)

    def verdict(self, names: Mapping[str, Any] | Answer | None = None) -> Shown:
        """Judge everything. It never fails the cell: an unfinished answer sees how far it is."""
        if being_read():
            return Shown("")
        names = _callers_names() if names is None else names
        try:
            with guarded(), quiet():
                answer = _answer(names)
                judgement = self.lab.judge(answer)
        except AnswerError as problem:
            return Shown(wrapped(str(problem)))

        def text(width: int) -> str:
            return verdict_of(judgement, answer.judged, min(width, LONGEST))

        told = {"hints": {"lab": self.lab.short_name, "rungs": sorted(self._hints)}}
        return Recorded(text(LONGEST), lambda: in_lines(text), told)

    def replay(self, text: str, names: Mapping[str, Any] | Answer | None = None) -> Any:
        """A player at the last step of the execution that a schedule text describes.

        It runs the functions in `names`. Raises CheckFailed for a text that cannot be replayed.
        """
        if being_read():
            return Shown("")
        from mmlocks.notebook.player import Player

        names = _callers_names() if names is None else names
        try:
            if not isinstance(text, str):
                raise AnswerError(
                    f"a schedule is a text in quotes, as in {self._called}.replay("
                    f'"mml1:...", globals()), and this is {text!r}.'
                )
            with guarded(), quiet():
                answer = _answer(names)
                scenario, _, _ = replay(text, self.lab.kernel(answer))
                player = Player(scenario.name, self.lab.release, dict(answer.functions))
                player.paste(text)
        except MmlocksError as problem:
            raise CheckFailed(None, wrapped(str(problem))) from None
        return player

    def explain(self, text: str, names: Mapping[str, Any] | Answer | None = None) -> Shown:
        """Why the run that a schedule text describes goes wrong, and what would have saved it.

        It runs the functions in `names`. Raises CheckFailed for a text that cannot be replayed.
        """
        if being_read():
            return Shown("")
        names = _callers_names() if names is None else names
        try:
            with guarded(), quiet():
                _, _, run = replay(text, self.lab.kernel(_answer(names)))
                return explain(run)
        except MmlocksError as problem:
            raise CheckFailed(None, wrapped(str(problem))) from None

    def hint(self, rung: int = 1) -> Shown:
        """A hint: 1 is the plan, 2 the place, 3 almost the code.

        The cell's output records that it was taken, and so does the output of each later verdict.
        """
        said = self.lab.hint(rung)
        if rung not in self._hints:
            self._hints.append(rung)
        told = {"hint": {"lab": self.lab.short_name, "rung": rung}}
        return Recorded(
            wrapped(said), lambda: f"<p style='max-width:46em'>{escape(said)}</p>", told
        )

    def where_does_the_line_go(self) -> Stage:
        """The stage before the code: lines to be put into the broken text, judged as any answer.

        Raises AnswerError if the lab has no such stage.
        """
        return Stage(self.lab)

    @property
    def _called(self) -> str:
        return self.lab.name.partition("_")[0]

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<li><b>{escape(check.name)}</b>, {check.points} points: {escape(check.about)}</li>"
            for check in self.lab.checks
        )
        return f"<p>{escape(self.lab.title)}: {self.lab.points} points in all.</p><ul>{rows}</ul>"

    def __repr__(self) -> str:
        checks = "\n".join(
            f"  {check.points} points  {check.name}: {check.about}" for check in self.lab.checks
        )
        return f"{self.lab.name}: {self.lab.title}. {self.lab.points} points in all.\n{checks}"


def lab(name: str) -> LabInNotebook:
    """The lab of that name, for use in a notebook."""
    found = LabInNotebook(lab_named(name))
    if not being_read():
        session()  # it notes every cell from now on
    return found


def _answer(names: Any) -> Answer:
    """The answer in the names; in a running notebook, it knows the numbers of its cells."""
    if isinstance(names, Stage):
        return names.answer
    here = session() if isinstance(names, Mapping) else None
    return here.answer(names) if here is not None else as_answer(names)


def _spot(place: Place) -> str:
    """A place with the number of its cell, if it is in a cell."""
    here = session()
    return here.spot(place) if here is not None else place.spot


def _callers_names() -> Mapping[str, Any]:
    """The globals of the cell that called the lab's method."""
    return sys._getframe(2).f_globals


def verdict_of(judgement: Judgement, judged: str, width: int = LONGEST) -> str:
    """All checks in words, and the finding on the whole."""
    lines = [
        f"{judgement.finding.value}: {judgement.points} of {judgement.lab.points} points.",
        wrapped(judged, width),
    ]
    lines += [headline(result) for result in judgement.results]
    failed = [result for result in judgement.results if result.points == 0]
    worst = [result for result in failed if result.finding is judgement.finding]
    if worst:
        lines += ["", wrapped(worst[0].message, width)]
    if judgement.compared:
        lines += ["", wrapped(judgement.compared, width)]
    return "\n".join(lines)


def _display(shown: Shown) -> None:
    """Draw it in the cell's output, or print it where there is no notebook."""
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        print(shown.text)
        return
    if get_ipython() is None:
        print(shown.text)
    else:
        display(shown)  # type: ignore[no-untyped-call]  # IPython has no types here
