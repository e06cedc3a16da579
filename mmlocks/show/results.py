"""Results as notebooks show them: a storyboard where there is room for a picture, and always the same in plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from mmlocks.machine import Run
from mmlocks.mm.world import World
from mmlocks.oracles.tools import tools_text, what_tools_say
from mmlocks.scenarios import Checked
from mmlocks.show.storyboard import NARROW, storyboard
from mmlocks.show.svg import picture
from mmlocks.show.text import WIDTH, blame, checked_text, timeline, verdict_text

RESPONSIVE = (
    "<style>.mml-fit{container-type:inline-size}.mml-narrow{display:none}"
    "@container (max-width:620px){.mml-wide{display:none}.mml-narrow{display:block}}</style>"
)
"""Shows the wide or the narrow drawing, by the width of the output. Where styles are taken away the wide one is shown."""


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
    """A checked scenario, or a run in its world, as an object that a notebook draws."""
    if isinstance(what, Checked):
        return Shown(checked_text(what), lambda: _checked(what))
    if world is None:
        raise TypeError("a run is shown in its world: show(run, world)")
    run, place = what, world
    return Shown(timeline(run, place), lambda: with_text(drawn(place, run), timeline(run, place)))


def show_tools(checked: Checked) -> Shown:
    """What Linux's own tools would have said of the run that shows a violation, one line for each, as an object that a notebook draws."""
    if not isinstance(checked, Checked):
        raise TypeError(f"show_tools takes what check() returned, not {checked!r}")
    if checked.run is None:
        return Shown("There is no run that goes wrong, so the tools have nothing to look at.")
    sayings = what_tools_say(checked.world, checked.run, checked.kernel.release)
    lines = "".join(
        f'<p style="margin:.4em 0;overflow-wrap:anywhere"><b>{escape(saying.tool)}</b> '
        f"{'found something' if saying.found else 'is silent'}. "
        f"{escape(f'{saying.says}. ' if saying.found else '')}{escape(saying.why)}.</p>"
        for saying in sayings
    )
    text = "\n".join(
        textwrap.fill(line, WIDTH, subsequent_indent=" " * 12, break_on_hyphens=False)
        for line in tools_text(sayings).splitlines()
    )
    return Shown(text, lambda: with_text(lines, text))


def show_state(world: World, run: Run, at: int | None = None) -> Shown:
    """The state after `at` steps, as an object that a notebook draws."""
    from mmlocks.show.text import state_text

    text = state_text(world, run, at)
    wide, narrow = picture(world, run, at), picture(world, run, at, width=NARROW)
    return Shown(text, lambda: with_text(responsive(wide, narrow), text))


def drawn(world: World, run: Run, title: str = "", ending: str = "") -> str:
    """A run's storyboard, for wide outputs and for narrow ones."""
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


def with_text(html: str, text: str, open_: bool = False) -> str:
    """HTML with the plain text folded below: some sites take the drawing away, and the text stays."""
    state = " open" if open_ else ""
    return f"{html}<details{state}><summary>The same as text</summary><pre>{escape(text)}</pre></details>"


def _checked(checked: Checked) -> str:
    words = verdict_text(checked.verdict, checked.scenario, 10_000).strip().replace("\n", " ")
    head = f"<p><b>{escape(checked.scenario.name)} on {escape(checked.kernel.name)}.</b> {escape(words)}</p>"
    run = checked.run
    if run is None:
        return head
    ending = blame(run, checked.world, checked.scenario)
    html = head + drawn(checked.world, run, checked.scenario.title, ending)
    return with_text(html, timeline(run, checked.world, checked.scenario, checked.schedule))
