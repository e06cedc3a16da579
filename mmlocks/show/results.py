"""Results as notebooks show them: a storyboard where there is room for a picture, and always the same in plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from mmlocks.errors import ModelError
from mmlocks.explain.tools import tools_text, what_tools_say
from mmlocks.machine import Run
from mmlocks.mm.world import World
from mmlocks.scenarios import Checked
from mmlocks.show.storyboard import NARROW, storyboard
from mmlocks.show.svg import picture
from mmlocks.show.text import WIDTH, blame, checked_text, paragraph, timeline, verdict_text

RESPONSIVE = (
    "<style>.mml-fit{container-type:inline-size}.mml-narrow{display:none}"
    "@container (max-width:620px){.mml-wide{display:none}.mml-narrow{display:block}}</style>"
)
"""Shows the wide or the narrow drawing, by the width of the output. Where styles are taken away the wide one is shown."""

COLUMNS = 40
"""Characters in a line of text where the output is narrow."""
PRE = "white-space:pre-wrap;word-break:normal;overflow-wrap:anywhere"
"""How text in lines is set: JupyterLab would break words in the middle; here only those that are longer than a line."""
LINES = (
    "<style>.mml-lines{container-type:inline-size}"
    "@container (max-width:860px){.mml-long{display:none}.mml-short{display:block!important}}</style>"
)
"""Shows text in long or in short lines, by the width of the output. Where styles are taken away the long ones are shown."""

Text = str | Callable[[int], str]
"""Plain text, or what makes it for lines of so many characters."""


@dataclass(frozen=True)
class Shown:
    """Something to be looked at: `text` is always there, `html` draws the same. Both are the same at every run."""

    text: str
    draw: Callable[[], str] = field(repr=False, default=str)

    @property
    def html(self) -> str:
        """The picture, as HTML with the text folded below it."""
        return self.draw()

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text.rstrip("\n")

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Mapping[str, str]:
        """What Jupyter asks for. `text/plain` is what nbval compares."""
        del include, exclude
        return {"text/html": self.html, "text/plain": repr(self)}


def show(what: Checked | Run, world: World | None = None) -> Shown:
    """A checked scenario, or a run in its world, as an object that a notebook draws. Raises ModelError for anything else."""
    if isinstance(what, Checked):
        said = further(what)
        text = checked_text(what) + (
            "\n" + "\n".join(paragraph(said, WIDTH)) + "\n" if said else ""
        )
        return Shown(text, lambda: _checked(what, said))
    if not isinstance(what, Run):
        raise ModelError(
            f"show takes what check(...) returned: {CALL.format('show')}. {not_but(what)}"
        )
    if not isinstance(world, World):
        raise ModelError(
            "a run is shown in its world: show(run, world), where world is what check(...).world is."
        )
    run, place = what, world
    return Shown(
        timeline(run, place),
        lambda: with_text(drawn(place, run), lambda width: timeline(run, place, width=width)),
    )


CALL = "{}(check(SCENARIOS['stackrot'], '6.4.0'))"
"""How a function of this package is called, for those who called it otherwise."""


def not_but(what: object) -> str:
    """What was given instead of what a function takes: a sentence for an error."""
    kind = type(what).__name__
    text = repr(what) if isinstance(what, str | int | float | bool | None) else ""
    return f"It was given {text[:60]}." if text else f"It was given a {kind}."


def further(checked: Checked) -> str:
    """What else can be asked about a check that found something: a sentence, or "" where it found nothing."""
    if checked.verdict.outcome != "violated":
        return ""
    asked = []
    violation = checked.verdict.violation
    if checked.run is not None and violation is not None and not checked.of_all_runs:
        asked.append("explain(…), why it went wrong and since when it was too late")
    asked.append("show_graph(…), all that can happen")
    if len(checked.machine.cpus) == 2:
        asked.append(
            "show_progress(…), how far each CPU has come (if neither goes round in a loop)"
        )
    asked.append("show_endings(…), every way in which it can end")
    listed = "; ".join(asked)
    return f"What next, with the same check in place of the dots: {listed}."


def show_tools(checked: Checked) -> Shown:
    """What Linux's own tools would have said of the run that shows a violation, one line for each, as an object that a notebook draws."""
    if not isinstance(checked, Checked):
        raise ModelError(
            f"show_tools takes what check(...) returned: {CALL.format('show_tools')}. {not_but(checked)}"
        )
    if checked.run is None:
        return Shown("There is no run that goes wrong, so the tools have nothing to look at.")
    sayings = what_tools_say(checked.world, checked.run, checked.kernel.release)
    lines = "".join(
        f'<p style="margin:.4em 0;overflow-wrap:anywhere"><b>{escape(saying.tool)}</b> '
        f"{'found something' if saying.found else 'is silent'}. "
        f"{escape(f'{saying.says}. ' if saying.found else '')}{escape(saying.why)}.</p>"
        for saying in sayings
    )

    def text(width: int) -> str:
        return "\n".join(
            textwrap.fill(line, width, subsequent_indent=" " * 12, break_on_hyphens=False)
            for line in tools_text(sayings).splitlines()
        )

    return Shown(text(WIDTH), lambda: with_text(lines, text))


def show_state(world: World, run: Run, at: int | None = None) -> Shown:
    """The state after `at` steps, as an object that a notebook draws."""
    from mmlocks.show.text import state_text

    wide, narrow = picture(world, run, at), picture(world, run, at, width=NARROW)
    return Shown(
        state_text(world, run, at),
        lambda: with_text(
            responsive(wide, narrow), lambda width: state_text(world, run, at, width)
        ),
    )


def drawn(world: World, run: Run, title: str = "", ending: str = "") -> str:
    """A run's storyboard, for wide outputs and for narrow ones."""
    run = run.joined()
    return responsive(
        storyboard(world, run, title=title, ending=ending),
        storyboard(world, run, title=title, ending=ending, width=NARROW),
    )


def responsive(wide: str, narrow: str) -> str:
    """Two drawings of the same, of which the one that fits is seen."""
    return (
        f'{RESPONSIVE}<div class="mml-fit"><div class="mml-wide">{wide}</div>'
        f'<div class="mml-narrow">{narrow}</div></div>'
    )


def with_text(html: str, text: Text, open_: bool = False) -> str:
    """HTML with the plain text folded below: some sites take the drawing away, and the text stays."""
    state = " open" if open_ else ""
    return f"{html}<details{state}><summary>The same as text</summary>{in_lines(text)}</details>"


def in_lines(text: Text) -> str:
    """Plain text as HTML that keeps its lines and their indents, and breaks no word; in shorter lines where there is less room."""
    long, short = (text, text) if isinstance(text, str) else (text(WIDTH), text(COLUMNS))
    if long == short:
        return f'<pre style="{PRE}">{escape(long)}</pre>'
    return (
        f'{LINES}<div class="mml-lines"><pre class="mml-long" style="{PRE}">{escape(long)}</pre>'
        f'<pre class="mml-short" style="{PRE};display:none">{escape(short)}</pre></div>'
    )


def _checked(checked: Checked, said: str) -> str:
    words = verdict_text(checked.verdict, checked.scenario, 10_000).strip().replace("\n", " ")
    head = f"<p><b>{escape(checked.scenario.name)} on {escape(checked.kernel.name)}.</b> {escape(words)}</p>"
    tail = f"<p>{escape(said)}</p>" if said else ""
    run = checked.run
    if run is None:
        return head + tail
    ending = blame(run, checked.world, checked.scenario)
    html = head + drawn(checked.world, run, checked.scenario.title, ending) + tail

    def text(width: int) -> str:
        return timeline(run, checked.world, checked.scenario, checked.schedule, width)

    return with_text(html, text)
