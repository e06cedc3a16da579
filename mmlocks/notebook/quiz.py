"""Questions that show their answer only after yours: predict first, then look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from mmlocks.errors import AnswerError
from mmlocks.notebook.questions import QUESTIONS


@dataclass
class Prediction:
    """A question and its options; `right` is the index of the right one, `because` says why."""

    question: str
    options: Sequence[str]
    right: int
    because: str

    def __post_init__(self) -> None:
        if not 0 <= self.right < len(self.options):
            raise ValueError(
                f"`right` is {self.right}, and there are options 0 to {len(self.options) - 1}"
            )
        self.chosen: int | None = None

    def answer(self, option: int) -> str:
        """Commit to an option; returns the explanation. Only the first answer counts."""
        if self.chosen is None:
            self.chosen = option
        verdict = (
            "As you predicted."
            if self.chosen == self.right
            else f"You said: {self.options[self.chosen]}. It is: {self.options[self.right]}."
        )
        return f"{verdict} {self.because}"

    def __repr__(self) -> str:
        listed = "\n".join(
            f"  ({letter}) {option}"
            for letter, option in zip("abcdefgh", self.options, strict=False)
        )
        return f"Predict: {self.question}\n{listed}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Mapping[str, Any]:
        del include, exclude
        listed = "".join(f"<li>{escape(option)}</li>" for option in self.options)
        summary = "<summary>Answer, once you have decided</summary>"
        answer = f"<details>{summary}<p>{escape(self._solution())}</p></details>"
        asked = f"<p><b>Predict:</b> {escape(self.question)}</p>"
        bundle: dict[str, Any] = {
            "text/plain": repr(self),
            "text/html": f"{asked}<ol type='a'>{listed}</ol>{answer}",
        }
        widget = self._widget()
        if widget is not None:
            bundle["application/vnd.jupyter.widget-view+json"] = {
                "version_major": 2,
                "version_minor": 0,
                "model_id": widget.model_id,
            }
        return bundle

    def _solution(self) -> str:
        return f"{self.options[self.right]}. {self.because}"

    def _widget(self) -> Any:
        """Radio buttons, and a button that works once one of them is chosen.

        None without ipywidgets.
        """
        try:
            import ipywidgets as widgets
        except ImportError:
            return None
        wide = widgets.Layout(width="auto", max_width="60em")
        choice = widgets.RadioButtons(
            options=[(option, number) for number, option in enumerate(self.options)],
            value=None,
            layout=wide,
        )
        button = widgets.Button(
            description="That is my prediction", disabled=True, layout=widgets.Layout(width="auto")
        )
        question = widgets.HTML(_paragraph(f"<b>Predict:</b> {escape(self.question)}"), layout=wide)
        explanation = widgets.HTML("", layout=wide)

        def chosen(_: Any) -> None:
            button.disabled = choice.value is None

        def decided(_: Any) -> None:
            explanation.value = _paragraph(escape(self.answer(choice.value)))
            choice.disabled = button.disabled = True

        choice.observe(chosen, names="value")
        button.on_click(decided)
        layout = widgets.Layout(padding="4px 0", align_items="flex-start")
        return widgets.VBox([question, choice, button, explanation], layout=layout)


def _paragraph(html: str) -> str:
    """Text that wraps, with the line spacing of the page: widgets have their own."""
    return f"<p style='line-height:1.5;margin:4px 0;white-space:normal'>{html}</p>"


def predict(name: str) -> Prediction:
    """The question of that name: so a notebook's cell does not contain its answer.

    Without widgets it is a list, with the answer folded below. Raises AnswerError for an unknown
    name.
    """
    if name not in QUESTIONS:
        raise AnswerError(f"there is no question {name!r}. There are: {', '.join(QUESTIONS)}.")
    question, options, right, because = QUESTIONS[name]
    return Prediction(question, options, right, because)
