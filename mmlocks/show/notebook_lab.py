"""A lab in a notebook: checks that draw what they found and fail the cell if they must, hints, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from mmlocks.errors import AnswerError, MmlocksError
from mmlocks.labs import CheckResult, Judgement, Lab, lab_named
from mmlocks.labs.lab import Finding
from mmlocks.mm.kernel import replacements_in
from mmlocks.scenarios import replay
from mmlocks.show.results import Shown, drawn, in_lines, with_text
from mmlocks.show.text import WIDTH, blame, timeline
from mmlocks.show.wrap import wrapped

SIGN = {Finding.CORRECT: "✓", Finding.COSTLY: "≈", Finding.WRONG: "✗", Finding.UNPROVED: "?"}


class CheckFailed(AssertionError):
    """A check that was not passed. Its text is all that the learner needs: no traceback is shown."""

    def __init__(self, result: CheckResult | None, message: str) -> None:
        super().__init__(message)
        self.result = result

    def _render_traceback_(self) -> list[str]:
        """What IPython prints instead of a traceback."""
        return [str(self)]


class LabInNotebook:
    """The lab's face in a notebook: `lab07 = lab("07")`, then `lab07.check("lost_store", globals())`."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def check(self, name: str, names: Mapping[str, Any]) -> Shown:
        """Judge one property of the functions in `names`. Raises CheckFailed, after drawing the counterexample."""
        try:
            result = self.lab.check(name, names)
        except MmlocksError as problem:
            raise CheckFailed(None, wrapped(str(problem))) from None
        shown = Shown(_result_text(result), lambda: _result_html(result))
        if result.passed:
            return shown
        if result.run is not None:
            _display(shown)
        raise CheckFailed(result, _short(result))

    def verdict(self, names: Mapping[str, Any]) -> Shown:
        """Judge everything. Never fails the cell: whoever is not done yet sees how far it is."""
        try:
            judgement = self.lab.judge(names)
        except AnswerError as problem:
            return Shown(wrapped(str(problem)))
        text = verdict_of(judgement)
        return Shown(text, lambda: in_lines(text))

    def replay(self, text: str, names: Mapping[str, Any]) -> Any:
        """The execution that a schedule text describes, with the functions in `names`, in a player at its last step.

        Raises CheckFailed with one sentence for a text that cannot be replayed.
        """
        from mmlocks.show.player import Player

        try:
            scenario, _, _ = replay(text, self.lab.kernel(names))
            player = Player(scenario.name, self.lab.release, replacements_in(names))
            player.paste(text)
        except MmlocksError as problem:
            raise CheckFailed(None, wrapped(str(problem))) from None
        return player

    def hint(self, rung: int = 1) -> Shown:
        """A hint: 1 is the plan, 2 the place, 3 nearly the code."""
        text = wrapped(self.lab.hint(rung))
        return Shown(text, lambda: f"<p style='max-width:46em'>{escape(self.lab.hint(rung))}</p>")

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
    return LabInNotebook(lab_named(name))


def verdict_of(judgement: Judgement) -> str:
    """All checks in words, and the finding on the whole."""
    lines = [f"{judgement.finding.value}: {judgement.points} of {judgement.lab.points} points."]
    lines += [_headline(result) for result in judgement.results]
    worst = next(
        (
            result
            for result in judgement.results
            if result.finding is judgement.finding and result.points == 0
        ),
        None,
    )
    if worst is not None:
        lines += ["", wrapped(worst.message)]
    if judgement.compared:
        lines += ["", wrapped(judgement.compared)]
    return "\n".join(lines)


def _headline(result: CheckResult) -> str:
    return f"{SIGN[result.finding]} {result.check.name}: {result.finding.value}, {result.points} of {result.check.points} points"


def _short(result: CheckResult) -> str:
    text = f"{_headline(result)}\nWanted: {result.check.about}\n\n{wrapped(result.message)}"
    if result.shown is not None and result.shown.schedule is not None:
        text += f'\n\nTo step through it yourself:\n{result.lab}.replay("{result.shown.schedule}", globals())'
    return text


def _result_text(result: CheckResult, width: int = WIDTH) -> str:
    if result.run is None or result.shown is None:
        return _short(result)
    shown = result.shown
    return (
        f"{_headline(result)}\n\n{timeline(result.run, shown.world, shown.scenario, shown.schedule, width)}"
    )


def _result_html(result: CheckResult) -> str:
    if result.run is None or result.shown is None:
        return in_lines(_short(result))
    shown = result.shown
    ending = blame(result.run, shown.world, shown.scenario)
    oracle = shown.verdict.violation.oracle if shown.verdict.violation is not None else ""
    title = shown.scenario.title if oracle in shown.scenario.explain else ""
    return with_text(drawn(shown.world, result.run, title, ending), lambda width: _result_text(result, width))


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
