"""The player: be the scheduler, step by step. It and the questions (`quiz`) need ipywidgets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import ipywidgets as widgets

from mmlocks.errors import MmlocksError
from mmlocks.notebook.legend import legend, story
from mmlocks.notebook.panes import panes
from mmlocks.notebook.scheduler import PlayerSession, trying
from mmlocks.releases import RELEASES
from mmlocks.scenarios import SCENARIOS, Checked, Scenario
from mmlocks.show.draw import cpu_colour, cpu_ink
from mmlocks.show.results import responsive, with_text
from mmlocks.show.scene import scene
from mmlocks.show.state_picture import state_picture
from mmlocks.show.text import clauses

AT_ONCE = 1.0
"""Seconds to wait for a proof. A longer one shows its progress, and can be cancelled."""


class Player:
    """A scenario to play with: choose which CPU takes the next step, look back, search, prove.

    `replacements` are functions by kernel name, such as `{"dup_mmap": dup_mmap}` from a notebook's
    cell. Jupyter shows widgets; where they do not work, a picture; and always text.
    """

    def __init__(
        self,
        scenario_name: str | Scenario = "fork_lost_store",
        release: str = "6.4.0",
        replacements: Mapping[str, Callable[..., Any]] | None = None,
        allow_release_change: bool = True,
        allow_scenario_change: bool = False,
    ) -> None:
        self.session = PlayerSession(scenario_name, release, replacements)
        self._redrawing = False
        self._searching: threading.Thread | None = None
        self._cancelled = False
        self._slow = False
        self._build(allow_release_change, allow_scenario_change)
        self.redraw()

    # -- what the controls do --

    def step(self, cpu: int) -> None:
        """Let `cpu` take the next step."""
        self._do(lambda: self.session.step(cpu))

    def undo(self) -> None:
        """One step back."""
        self._do(self.session.back)

    def restart(self) -> None:
        """Start over."""
        self._do(self.session.restart)

    def scrub(self, at: int) -> None:
        """Look at the moment after `at` steps."""
        self._do(lambda: self.session.seek(at))

    def find(self) -> None:
        """Find any bad run."""
        self._do(self.session.find)

    def shortest(self) -> None:
        """Find the shortest bad run."""
        self._do(self.session.find_shortest)

    def paste(self, text: str) -> None:
        """Show the run that a schedule describes. A bad text changes nothing but the message."""
        self._do(lambda: self.session.paste(text))

    def prove(self) -> None:
        """Search every interleaving. A long search goes on in a thread, and can be cancelled."""
        if self._searching is not None:
            return
        self._cancelled = False
        answer: list[Checked | str] = []
        delivering = threading.Lock()

        def deliver() -> None:
            """Show the answer, once: this thread or the search's, the one that comes second."""
            with delivering:
                if answer and waited.is_set():
                    self._finish(answer.pop())

        def search() -> None:
            try:
                answer.append(self.session.prove(self._progress))
            except MmlocksError as problem:
                answer.append(str(problem))
            deliver()

        waited = threading.Event()
        self._searching = threading.Thread(target=search, name="mmlocks proof", daemon=True)
        self._searching.start()
        self._searching.join(AT_ONCE)
        if not answer:
            self._lock(True)
            self._slow = True
        waited.set()
        deliver()

    def wait(self) -> None:
        """Wait for the end of a proof that goes on in a thread."""
        searching = self._searching
        if searching is not None:
            searching.join()

    def cancel(self) -> None:
        """Stop a proof that takes too long."""
        self._cancelled = True

    def _progress(self, states: int, transitions: int, seconds: float) -> bool:
        del transitions
        if self._slow:
            done = f"{states:,} states so far, {seconds:.0f} seconds"
            self._message(f"Searching: {done}. Everything else waits.")
        return not self._cancelled

    def _finish(self, found: Checked | str) -> None:
        self._searching, self._slow = None, False
        self._lock(False)
        if isinstance(found, str):
            self._message(found, wrong=True)
        else:
            self._do(lambda: self.session.show_proof(found))

    def _do(self, act: Callable[[], None]) -> None:
        if self._redrawing:
            return
        wrong = trying(act)
        self.redraw()
        if wrong:
            self._message(wrong, wrong=True)

    # -- the widgets --

    def _build(self, allow_release_change: bool, allow_scenario_change: bool) -> None:
        session = self.session
        self.story, self.blame, self.picture, self.sources, self.legend = (
            widgets.HTML() for _ in range(5)
        )
        self.release = self._dropdown(
            "Kernel", list(RELEASES), session.kernel.release.name, not allow_release_change
        )
        self.scenario = self._dropdown(
            "Scenario", list(SCENARIOS), session.scenario.name, not allow_scenario_change
        )
        self.release.observe(self._release_chosen, "value")
        self.scenario.observe(self._scenario_chosen, "value")
        self.cpus: list[widgets.Button] = []
        self.cpu_row = self._row()
        self.back_button = self._button(
            "undo", "arrow-left", self.undo, "One step back; the slider brings it back"
        )
        self.restart_button = self._button(
            "start over", "fast-backward", self.restart, "Throw this run away"
        )
        self.find_button = self._button(
            "find a bug", "search", self.find, "Search until some order of steps goes wrong"
        )
        self.short_button = self._button(
            "shortest", "compress", self.shortest, "Find the bad run with the fewest interruptions"
        )
        self.prove_button = self._button(
            "prove it", "check", self.prove, "Search every order of steps there is"
        )
        self.cancel_button = self._button("cancel", "stop", self.cancel, "Stop searching")
        auto = widgets.Layout(width="auto")
        self.slider = widgets.IntSlider(min=0, max=1, description="Step", layout=auto)
        self.slider.observe(lambda change: self.scrub(change["new"]), "value")
        self.replay_text = widgets.Text(
            description="This run",
            tooltip="Copy this to keep the run or to send it",
            layout=_wide_field(),
        )
        self.paste_text = widgets.Text(
            description="Another", placeholder="paste a run here: mml1:…", layout=_wide_field()
        )
        self.paste_button = self._button(
            "show it", "play", lambda: self.paste(self.paste_text.value), "Show the pasted run"
        )
        choices = [self.scenario, self.release] if allow_scenario_change else [self.release]
        searches = [self.find_button, self.short_button, self.prove_button, self.cancel_button]
        self.view = widgets.VBox(
            [
                self.story,
                self.cpu_row,
                self.slider,
                self._row(*searches, *choices),
                self.blame,
                self.picture,
                self.sources,
                self._row(self.replay_text),
                self._row(self.paste_text, self.paste_button),
                self.legend,
            ]
        )

    def _row(self, *children: widgets.Widget) -> widgets.Box:
        layout = widgets.Layout(
            display="flex", flex_flow="row wrap", align_items="center", overflow="visible"
        )
        return widgets.Box(children, layout=layout)

    def _dropdown(
        self, label: str, options: list[str], value: str, disabled: bool
    ) -> widgets.Dropdown:
        return widgets.Dropdown(
            options=_with(options, value),
            value=value,
            description=label,
            disabled=disabled,
            layout=widgets.Layout(width="240px"),
        )

    def _button(self, text: str, icon: str, act: Callable[[], None], hint: str) -> widgets.Button:
        layout = widgets.Layout(width="auto", min_width="90px")
        button = widgets.Button(description=text, icon=icon, tooltip=hint, layout=layout)
        button.on_click(lambda _: act())
        return button

    def _cpu_buttons(self) -> None:
        """A button for every CPU of the scenario, in its colour."""
        self.cpus = []
        for cpu in self.session.machine.cpus:
            button = self._button(f"step cpu{cpu}", "", lambda cpu=cpu: self.step(cpu), "")  # type: ignore[misc]
            button.style.button_color, button.style.text_color = cpu_colour(cpu), cpu_ink(cpu)
            button.style.font_weight = "bold"
            self.cpus.append(button)
        self.cpu_row.children = (*self.cpus, self.back_button, self.restart_button)

    def _release_chosen(self, change: Mapping[str, Any]) -> None:
        self._do(lambda: self.session.change(release=change["new"]))

    def _scenario_chosen(self, change: Mapping[str, Any]) -> None:
        self._do(lambda: self.session.change(scenario=change["new"]))

    # -- drawing --

    def redraw(self) -> None:
        """Bring every widget up to date."""
        self._redrawing = True
        try:
            self._redraw()
        finally:
            self._redrawing = False

    def _redraw(self) -> None:
        session = self.session
        if len(self.cpus) != len(session.machine.cpus):
            self._cpu_buttons()
        now = scene(session.world, session.run, session.at)
        able = session.here.enabled()
        for button, cpu in zip(self.cpus, now.cpus, strict=True):
            button.disabled = cpu.number not in able
            button.tooltip = cpu.why or {"done": "it is done"}.get(cpu.status, cpu.task)
            word = {"blocked": " (blocked)", "done": " (done)"}.get(cpu.status, "")
            button.description = f"step cpu{cpu.number}{word}"
        self.slider.max = max(1, len(session.run))
        self.slider.value = session.at
        self.slider.disabled = not len(session.run)
        self.back_button.disabled = not session.at
        self.restart_button.disabled = not len(session.run)
        self.cancel_button.layout.display = "none"
        for choice, name in (
            (self.release, session.kernel.release.name),
            (self.scenario, session.scenario.name),
        ):
            choice.options = _with(choice.options, name)
            choice.value = name
            choice.layout.width = f"{max(240, 130 + 8 * len(name))}px"
        self.story.value = story(session)
        self.picture.value = self._drawn(heading=False)
        self.sources.value = panes(now, session.kernel.release)
        self.legend.value = legend(session.world)
        self.replay_text.value = str(session.schedule)
        self._message("", wrong=False)

    def _drawn(self, heading: bool) -> str:
        session = self.session
        world, run, at = session.world, session.run, session.at
        return responsive(lambda width: state_picture(world, run, at, width, heading))

    def _message(self, text: str, wrong: bool = False) -> None:
        """The blame line, with notes and answers below it."""
        session = self.session
        bad = session.here.violation is not None
        verdict = session.verdict_text().replace("\n", " ").strip()
        sign = "✓ " if verdict.startswith("SAFE") else ""
        parts = [f"<b>{sign}{escape(verdict)}</b>"] if verdict else []
        first, *rest = clauses(session.blame)
        parts.append(f"<b>{'✗ ' if bad else ''}{escape(first)}</b>")
        parts += map(escape, rest)
        further = (session.explanation, session.note, session.advice)
        parts += [escape(part) for part in further if part and part not in session.blame]
        if text:
            parts.append(f"<b>{'⚠ ' if wrong else ''}{escape(text)}</b>")
        edge = "#D55E00" if bad or wrong else "#0072B2"
        style = (
            f"border-left:5px {'double' if bad else 'solid'} {edge};"
            "padding:4px 12px;line-height:1.5;min-height:4.5em;white-space:normal"
        )
        told = "<br>".join(parts)
        self.blame.value = f'<div role="status" aria-live="polite" style="{style}">{told}</div>'

    def _lock(self, locked: bool) -> None:
        """While a proof runs, it can be cancelled; all other controls are disabled."""
        controls = (
            *self.cpus,
            self.slider,
            self.back_button,
            self.restart_button,
            self.find_button,
            self.short_button,
            self.prove_button,
            self.paste_button,
            self.release,
            self.scenario,
        )
        for control in controls:
            control.disabled = locked
        self.cancel_button.layout.display = "" if locked else "none"
        if locked:
            self._message("Searching every order of steps…")

    # -- where there are no widgets --

    def __repr__(self) -> str:
        return self.session.text().rstrip("\n")

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """Widgets where they work, a picture where they do not, and always the text."""
        bundle = dict(self.view._repr_mimebundle_(include=include, exclude=exclude))
        folded = with_text(self._drawn(heading=True), self.session.text)
        return {**bundle, "text/plain": repr(self), "text/html": folded}


def _with(options: Sequence[str], value: str) -> tuple[str, ...]:
    return tuple(options) if value in options else (*options, value)


def _wide_field() -> widgets.Layout:
    return widgets.Layout(width="auto", flex="1 1 260px")
