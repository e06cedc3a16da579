"""Where does the line go? Lines are put into the broken text by buttons, and judged.

Every control is an ordinary one that the keyboard reaches: Tab goes to the next, and Space or Enter
presses it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from mmlocks.errors import AnswerError, MmlocksError
from mmlocks.labs import Answer, CheckResult, Lab
from mmlocks.labs.feedback import Feedback, feedback_on
from mmlocks.labs.parsons import Arrangement, Parsons
from mmlocks.machine.refused import guarded
from mmlocks.notebook.quiet import ipython, quiet
from mmlocks.notebook.results import LONGEST, headline, result_html, result_text, wrapped

ASKED = (
    "Where does the line go? Put one or more of these lines into the function. Not all of them are "
    "of use. Then judge what you have: every order of the steps is searched."
)
CODE = "font-family:monospace;white-space:pre-wrap;padding-left:6px;line-height:1.5"
PLACED = f"{CODE};font-weight:bold;border-left:4px solid currentColor;padding-left:2px"


class Stage:
    """The stage of a lab: an arrangement that changes, and what the checks say of it."""

    def __init__(self, lab: Lab) -> None:
        if lab.parsons is None:
            raise AnswerError(f"{lab.name} has no stage of this kind: begin with its answer cell.")
        self.lab = lab
        self.parsons: Parsons = lab.parsons
        self.now: Arrangement = lab.parsons.begin()

    @property
    def answer(self) -> Answer:
        """The arrangement as an answer: `lab07.check("lost_store", stage)` judges it."""
        return self.now.answer()

    def judged(self) -> tuple[CheckResult, Feedback]:
        """The first check that fails, or the last one; and the feedback on all up to it."""
        answer = self.answer
        with guarded(), quiet():
            examination = self.lab.examination(answer)
            results = []
            for check in self.lab.checks:
                results.append(examination.result(check))
                if not results[-1].passed:
                    break
            return results[-1], feedback_on(examination, results, answer.judged)

    def __repr__(self) -> str:
        lines = "\n".join(f"  {at}  {line}" for at, line in enumerate(self.parsons.lines, 1))
        return f"{wrapped(ASKED)}\n\n{lines}\n\n{self.now.text}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Mapping[str, Any]:
        del include, exclude
        items = "".join(f"<li><code>{escape(line)}</code></li>" for line in self.parsons.lines)
        bundle: dict[str, Any] = {
            "text/plain": repr(self),
            "text/html": f"<p>{escape(ASKED)}</p><ol>{items}</ol>{_listing(self.now, -1)}",
        }
        widget = self._widget()
        if widget is not None:
            bundle["application/vnd.jupyter.widget-view+json"] = {
                "version_major": 2,
                "version_minor": 0,
                "model_id": widget.model_id,
            }
        return bundle

    def _widget(self) -> Any:
        """The controls; None without ipywidgets."""
        try:
            import ipywidgets as widgets
        except ImportError:
            return None
        auto = widgets.Layout(width="auto", margin="2px")
        wide = widgets.Layout(width="auto", max_width="60em")
        choice = widgets.RadioButtons(
            options=[(line, number) for number, line in enumerate(self.parsons.lines)],
            layout=wide,
        )
        listing, said = widgets.HTML(layout=wide), widgets.HTML()

        def show(text: str = "") -> None:
            listing.value = _listing(self.now, choice.value)
            said.value = text
            inside = choice.value in self.now
            put.description = "Take the line out" if inside else "Put the line in"
            for button in moving:
                button.disabled = not inside

        def button(label: str, act: Callable[[], Arrangement]) -> Any:
            made = widgets.Button(description=label, layout=auto)

            def pressed(_: Any) -> None:
                self.now = act()
                show()

            made.on_click(pressed)
            return made

        def put_or_take() -> Arrangement:
            line = choice.value
            return self.now.take(line) if line in self.now else self.now.put(line)

        put = button("Put the line in", put_or_take)
        moving = [
            button("Up", lambda: self.now.move(choice.value, -1)),
            button("Down", lambda: self.now.move(choice.value, 1)),
            button("Further out", lambda: self.now.shift(choice.value, -1)),
            button("Further in", lambda: self.now.shift(choice.value, 1)),
        ]
        judge = widgets.Button(description="Judge it", layout=auto, button_style="primary")
        use = widgets.Button(description="Use it as my answer", layout=auto)

        def judging(_: Any) -> None:
            show(_said("Every order of the steps is being searched ..."))
            judge.disabled = True
            try:
                said.value = self._judged_html()
            except MmlocksError as problem:
                said.value = _said(str(problem))
            finally:
                judge.disabled = False

        judge.on_click(judging)
        use.on_click(lambda _: show(self._used_html()))
        choice.observe(lambda _: show(), names="value")
        show()
        row = widgets.Layout(flex_flow="row wrap", display="flex")
        asked = widgets.HTML(_said(ASKED), layout=wide)
        return widgets.VBox(
            [
                asked,
                choice,
                widgets.Box([put, *moving], layout=row),
                listing,
                widgets.Box([judge, use], layout=row),
                said,
            ],
            layout=widgets.Layout(padding="4px 0", width="100%"),
        )

    def _judged_html(self) -> str:
        result, told = self.judged()
        if result.passed:
            return (
                f"{_said(f'All {len(self.lab.checks)} checks hold: {told.points} points.')}"
                f"{_said('Use it as your answer, or write it yourself in the cell below.')}"
            )
        short = [headline(result), result.message]
        if told.counterexample is not None:
            short += [f"{one}." for one in told.counterexample.standing]
        if told.likeness is not None:
            short.append(str(told.likeness))
        return "".join(map(_said, short)) + result_html(result, told)

    def _used_html(self) -> str:
        """Put the functions where the check cells look for them, and say so."""
        shell = ipython()
        answer = self.answer
        if shell is not None:
            shell.user_ns.update(answer.functions)
        said = (
            f"The check cells now judge this {', '.join(answer.functions)}. To hand it in, copy it "
            "into your answer cell:"
        )
        return f"{_said(said)}<pre style='{CODE}'>{escape(self.now.text)}</pre>"

    def text(self) -> str:
        """What the checks say of the arrangement, in plain text."""
        result, told = self.judged()
        return result_text(result, told, LONGEST)


def _listing(now: Arrangement, chosen: int) -> str:
    """The text; a placed line has a bar, bold letters, and a sign, so colour is not needed."""
    rows = []
    for row in now.rows:
        sign = " &#9664;" if row.line is not None and row.line == chosen else ""
        style = PLACED if row.line is not None else CODE
        rows.append(f"<div style='{style}'>{' ' * row.indent}{escape(row.text)}{sign}</div>")
    return f"<div style='overflow-wrap:anywhere;margin:6px 0'>{''.join(rows)}</div>"


def _said(text: str) -> str:
    return f"<p style='line-height:1.5;margin:4px 0;white-space:normal'>{escape(text)}</p>"
