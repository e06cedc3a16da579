"""Results as notebooks show them: a picture, and always the same in plain text."""

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
from mmlocks.show.draw import NARROW, WIDE
from mmlocks.show.state_picture import state_picture
from mmlocks.show.state_text import state_text
from mmlocks.show.storyboard import storyboard
from mmlocks.show.text import WIDTH, blame, checked_text, paragraph, timeline, verdict_text

RESPONSIVE = (
    "<style>.mml-fit{container-type:inline-size}.mml-narrow{display:none}"
    "@container (max-width:620px){.mml-wide{display:none}.mml-narrow{display:block}}</style>"
)
"""Shows the wide or the narrow drawing, by the width of the output; the wide one without styles."""

COLUMNS = 40
"""Characters in a line of text where the output is narrow."""
PRE = "white-space:pre-wrap;word-break:normal;overflow-wrap:anywhere"
"""How text in lines is set: it breaks only words longer than a line, unlike JupyterLab."""
LINES = (
    "<style>.mml-lines{container-type:inline-size}"
    "@container (max-width:860px)"
    "{.mml-long{display:none}.mml-short{display:block!important}}</style>"
)
"""Shows long or short lines, by the width of the output; without styles, the long ones."""

Text = str | Callable[[int], str]
"""Plain text, or a function that makes it for lines of so many characters."""


@dataclass(frozen=True)
class Shown:
    """Something to look at: `text` is always there, `html` draws the same.

    Both are the same at every run.
    """

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
    """A checked scenario, or a run in its world, as an object that a notebook draws.

    Raises ModelError for anything else.
    """
    if isinstance(what, Checked):
        said = further(what)
        tail = "\n".join(["", *paragraph(said, WIDTH), ""]) if said else ""
        return Shown(checked_text(what) + tail, lambda: _checked(what, said))
    if not isinstance(what, Run):
        raise wrong_argument("show", what)
    if not isinstance(world, World):
        raise ModelError(
            "a run is shown in its world: show(run, world), where world is what "
            "check(...).world is."
        )
    run, place = what, world
    return Shown(
        timeline(run, place),
        lambda: with_text(drawn(place, run), lambda width: timeline(run, place, width=width)),
    )


CALL = "{}(check(SCENARIOS['stackrot'], '6.4.0'))"
"""How a function of this package is called, for an error message."""


def wrong_argument(
    function: str, given: object, takes: str = "what check(...) returned", or_call: str = ""
) -> ModelError:
    """The error for a wrong argument: what the function takes, an example, what it was given."""
    plain = isinstance(given, str | int | float | bool | None)
    got = repr(given)[:60] if plain else f"a {type(given).__name__}"
    call = f"{CALL.format(function)}{or_call}"
    return ModelError(f"{function} takes {takes}: {call}. It was given {got}.")


def further(checked: Checked) -> str:
    """What else can be asked about a check: a sentence, or "" if the check found nothing."""
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
    """What Linux's own tools would have said about the bad run, as an object that a notebook draws.

    There is one line for each tool. Raises ModelError for anything but a checked scenario.
    """
    if not isinstance(checked, Checked):
        raise wrong_argument("show_tools", checked)
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
    html = responsive(lambda width: state_picture(world, run, at, width))
    return Shown(
        state_text(world, run, at),
        lambda: with_text(html, lambda width: state_text(world, run, at, width)),
    )


def drawn(world: World, run: Run, title: str = "", ending: str = "") -> str:
    """A run's storyboard, for wide outputs and for narrow ones."""
    run = run.joined()
    return responsive(lambda width: storyboard(world, run, None, title, ending, width))


def responsive(draw: Callable[[int], str]) -> str:
    """Two drawings of the same, a wide and a narrow one; a reader sees the one that fits."""
    wide, narrow = draw(WIDE), draw(NARROW)
    return (
        f'{RESPONSIVE}<div class="mml-fit"><div class="mml-wide">{wide}</div>'
        f'<div class="mml-narrow">{narrow}</div></div>'
    )


def with_text(html: str, text: Text, open_: bool = False) -> str:
    """HTML with the plain text folded below it: it stays where a site removes the drawing."""
    state = " open" if open_ else ""
    return f"{html}<details{state}><summary>The same as text</summary>{in_lines(text)}</details>"


def in_lines(text: Text) -> str:
    """Plain text as HTML that keeps lines and indents, and breaks no word.

    In a narrow output its lines are shorter.
    """
    long, short = (text, text) if isinstance(text, str) else (text(WIDTH), text(COLUMNS))
    if long == short:
        return f'<pre style="{PRE}">{escape(long)}</pre>'
    return (
        f'{LINES}<div class="mml-lines"><pre class="mml-long" style="{PRE}">{escape(long)}</pre>'
        f'<pre class="mml-short" style="{PRE};display:none">{escape(short)}</pre></div>'
    )


def _checked(checked: Checked, said: str) -> str:
    words = verdict_text(checked.verdict, checked.scenario, 10_000).strip().replace("\n", " ")
    name = f"{checked.scenario.name} on {checked.kernel.name}."
    head = f"<p><b>{escape(name)}</b> {escape(words)}</p>"
    tail = f"<p>{escape(said)}</p>" if said else ""
    run = checked.run
    if run is None:
        return head + tail
    ending = blame(run, checked.world, checked.scenario)
    html = head + drawn(checked.world, run, checked.scenario.title, ending) + tail

    def text(width: int) -> str:
        return timeline(run, checked.world, checked.scenario, checked.schedule, width)

    return with_text(html, text)
