"""A lab in a notebook: checks that draw a counterexample and fail the cell, hints, the verdict."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping
from html import escape
from typing import Any

from mmlocks.errors import AnswerError, MmlocksError
from mmlocks.labs import Answer, CheckResult, Judgement, Lab, lab_named
from mmlocks.labs.answer import as_answer
from mmlocks.labs.feedback import Feedback, feedback_on
from mmlocks.labs.harmless import being_read
from mmlocks.labs.lab import Finding
from mmlocks.machine.refused import guarded
from mmlocks.machine.task import Place
from mmlocks.notebook.quiet import quiet
from mmlocks.notebook.session import session
from mmlocks.scenarios import replay
from mmlocks.show.feedback_text import feedback_text
from mmlocks.show.results import Shown, drawn, in_lines, with_text
from mmlocks.show.text import WIDTH, blame, timeline

SIGN = {Finding.CORRECT: "✓", Finding.COSTLY: "≈", Finding.WRONG: "✗", Finding.UNPROVED: "?"}


SWALLOWED = "\n\nWhat your functions print is not shown: a search runs them many times."


LONGEST = 76
"""Characters in a line of prose; longer lines are hard to read."""


class CheckFailed(AssertionError):
    """A check failed. Its text is all that the learner needs: no traceback is shown."""

    def __init__(self, result: CheckResult | None, message: str) -> None:
        super().__init__(message)
        self.result = result

    def _render_traceback_(self) -> list[str]:
        """What IPython prints instead of a traceback."""
        return [str(self)]


class LabInNotebook:
    """A lab in a notebook: `lab07 = lab("07")`, then `lab07.check("lost_store", globals())`.

    Without names, the globals of the caller are taken. While a file is read, the calls in its cells
    do nothing.
    """

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

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
                examination = self.lab.examination(answer)
                result = examination.result(self.lab.check_named(name))
                told = feedback_on(examination, [result], answer.judged, _spot)
                text = _result_text(result, told)
                html = _result_html(result, told)
        except MmlocksError as problem:
            raise CheckFailed(None, wrapped(str(problem))) from None
        if result.passed:
            return Shown(text, lambda: html)
        if result.run is not None:
            _display(Shown(text, lambda: html))
        said = f"{_short(result, told)}{SWALLOWED if swallowed.any else ''}"
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

        return Shown(text(LONGEST), lambda: in_lines(text))

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

    def hint(self, rung: int = 1) -> Shown:
        """A hint: 1 is the plan, 2 the place, 3 almost the code."""
        text = wrapped(self.lab.hint(rung))
        return Shown(text, lambda: f"<p style='max-width:46em'>{escape(self.lab.hint(rung))}</p>")

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


def wrapped(text: str, width: int = LONGEST) -> str:
    """The text in lines of at most `width` characters. It keeps its own line breaks."""
    return "\n".join(
        textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)
        for line in text.split("\n")
    )


def lab(name: str) -> LabInNotebook:
    """The lab of that name, for use in a notebook."""
    found = LabInNotebook(lab_named(name))
    if not being_read():
        session()  # it notes every cell from now on
    return found


def _answer(names: Any) -> Answer:
    """The answer in the names; in a running notebook, it knows the numbers of its cells."""
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
    lines += [_headline(result) for result in judgement.results]
    failed = [result for result in judgement.results if result.points == 0]
    worst = [result for result in failed if result.finding is judgement.finding]
    if worst:
        lines += ["", wrapped(worst[0].message, width)]
    if judgement.compared:
        lines += ["", wrapped(judgement.compared, width)]
    return "\n".join(lines)


def _headline(result: CheckResult) -> str:
    points = f"{result.points} of {result.check.points} points"
    return f"{SIGN[result.finding]} {result.check.name}: {result.finding.value}, {points}"


def _short(result: CheckResult, told: Feedback, width: int = LONGEST) -> str:
    lines = (_headline(result), told.judged, f"Wanted: {result.check.about}", "", result.message)
    text = "\n".join(wrapped(line, width) for line in lines)
    more = feedback_text(told, width)
    if more:
        text += f"\n\n{more}"
    if told.counterexample is not None and told.counterexample.schedule:
        call = f'{result.lab}.replay("{told.counterexample.schedule}", globals())'
        text += f"\n\nTo step through it yourself:\n{call}"
    return text


def _result_text(result: CheckResult, told: Feedback, width: int = WIDTH) -> str:
    explained = result.explained
    if explained is None or result.run is None or explained.run is None:
        return _short(result, told, min(width, LONGEST))
    head = f"{_headline(result)}\n{wrapped(told.judged, min(width, LONGEST))}"
    run = timeline(explained.run, explained.world, explained.scenario, explained.schedule, width)
    return f"{head}\n\n{run}"


def _result_html(result: CheckResult, told: Feedback) -> str:
    explained = result.explained
    if explained is None or result.run is None or explained.run is None:
        return in_lines(lambda width: _short(result, told, min(width, LONGEST)))
    run, scenario = explained.run, explained.scenario
    ending = blame(run, explained.world, scenario)
    title = scenario.title if scenario.explanation(explained.world, run) else ""
    html = drawn(explained.world, run, title, ending)
    return with_text(html, lambda width: _result_text(result, told, width))


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
