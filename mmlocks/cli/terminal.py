"""The output: text in a few colours on stdout, errors and progress on stderr, exit statuses.

Every command imports this file. Rich is large, so functions import it only when they print.
"""

from __future__ import annotations

import re
import textwrap
import time
from collections.abc import Callable
from enum import IntEnum
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text


class Status(IntEnum):
    """The exit statuses. Commands document the first five. DEFECT is a bug in mmlocks."""

    FINE = 0
    WRONG = 1
    USAGE = 2
    UNPROVED = 3
    COSTLY = 4
    DEFECT = 70
    INTERRUPTED = 130
    PIPE_CLOSED = 141


STATUSES = (
    "Exit status: 0 nothing found, or correct; 1 a violation, or wrong; 2 bad usage, or a file "
    "that cannot be read; 3 not everything was searched, so nothing is proved; 4 correct but "
    "costly. After Ctrl-C: the status of the printed answer (usually 3), or 130 if there is none."
)


# -- stdout ----------------------------------------------------------------------------------------

NARROWEST, WIDEST = 40, 120
"""Columns of output. Longer lines are hard to read, even in a wide window."""

GOOD, BAD, UNSURE, CODE = "bold green", "bold red", "bold yellow", "cyan"
TITLE, COMMAND, ASIDE = "bold", "bold", "dim"

MEANINGS = (
    (r"\b(SAFE|CORRECT)\b", GOOD),
    (r"\b(VIOLATED|WRONG|STALE)\b", BAD),
    (r"\b(UNPROVED|CORRECT BUT COSTLY)\b", UNSURE),
)
"""Words that are coloured everywhere. The colour only repeats what the word says."""


def width() -> int:
    """Columns to fill: those of the terminal or COLUMNS (80 in a pipe), within limits."""
    from mmlocks.cli.screen import Screen

    return max(NARROWEST, min(WIDEST, Screen().width))


def write(text: str, style: str = "", paint: Callable[[Text], None] | None = None) -> None:
    """Print text whose lines are already broken, in colour if the terminal has colours."""
    from rich.text import Text

    from mmlocks.cli.screen import Screen

    shown = Text(text.rstrip("\n"), style)
    if not style:
        for pattern, meaning in MEANINGS:
            shown.highlight_regex(pattern, meaning)
    if paint is not None:
        paint(shown)
    Screen().print(shown, soft_wrap=True)


def paragraph(text: str, style: str = "", indent: int = 0) -> None:
    """Print a paragraph, broken to fit the width."""
    lead = " " * indent
    write(
        textwrap.fill(
            text, width(), initial_indent=lead, subsequent_indent=lead, break_on_hyphens=False
        ),
        style,
    )


def command(text: str) -> None:
    """Print a command to copy: alone on one line, even a long one."""
    write(f"  {text}", COMMAND)


def gap() -> None:
    """Print an empty line."""
    write("")


def print_json(value: Any) -> None:
    """Print one JSON value."""
    import json

    print(json.dumps(value, indent=2))


def steps_painter(bad: bool) -> Callable[[Text], None]:
    """Colours for a timeline: its head, its functions and, after a bad end, its last step."""

    def paint(shown: Text) -> None:
        rules = list(re.finditer(r"^-{8,}$", shown.plain, re.MULTILINE))
        if len(rules) != 2:
            return  # the narrow form, which is a plain list
        shown.stylize(TITLE, 0, rules[0].start())
        for rule in rules:
            shown.stylize(ASIDE, *rule.span())
        start, end = rules[0].end(), rules[1].start()
        for function in re.finditer(
            r"(?<=\s)[a-z][a-z0-9_]*:(?=\s)(?! \S+ ->)", shown.plain[start:end]
        ):
            shown.stylize(CODE, start + function.start(), start + function.end())
        last = [
            number.start()
            for number in re.finditer(r"^ *\d+ ", shown.plain[start:end], re.MULTILINE)
        ]
        if bad and last:
            shown.stylize(BAD, start + last[-1], end)

    return paint


# -- stderr ----------------------------------------------------------------------------------------


def complain(message: str, who: str = "mmlocks") -> None:
    """Print one clear line on stderr. On a terminal it is broken between words."""
    from rich.text import Text

    from mmlocks.cli.screen import Screen

    console = Screen(stderr=True)
    line = Text.assemble((f"{who}:", BAD), " ", " ".join(message.split()))
    console.print(line, soft_wrap=not console.file.isatty())


class Meter:
    """The progress of searches: a line on stderr if that is a terminal. Also handles Ctrl-C.

    The first Ctrl-C ends the running search, which is then unproved, and all later ones.
    """

    PATIENCE = 0.4
    """Seconds until the line appears."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.interrupted = False
        self._live: Live | None = None
        self._restore: Any = None
        self._next = time.monotonic() + self.PATIENCE

    def __enter__(self) -> Meter:
        import signal
        import threading

        if threading.current_thread() is threading.main_thread():
            self._restore = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        import signal

        if self._restore is not None:
            signal.signal(signal.SIGINT, self._restore)
        if self._live is not None:
            self._live.stop()

    def __call__(self, states: int, transitions: int, seconds: float) -> bool:
        """Show the progress. A search calls this now and then; False ends it.

        The line counts steps if the search keeps no states.
        """
        now = time.monotonic()
        if now >= self._next:
            self._next = now + 0.1
            many, what = (states, "states") if states else (transitions, "steps")
            speed = f"{many / max(seconds, 1e-3):,.0f} a second"
            self._show(f"{self.what}: {many:,} {what}, {speed}, {seconds:.0f} s")
        return not self.interrupted

    def _show(self, line: str) -> None:
        from rich.text import Text

        if self._live is None:
            from mmlocks.cli.screen import Screen

            console = Screen(stderr=True)
            # `console.is_terminal` does not tell: FORCE_COLOR makes it true in a pipe.
            if not console.file.isatty() or console.is_dumb_terminal:
                self._next = float("inf")
                return
            from rich.live import Live

            self._live = Live(console=console, transient=True, auto_refresh=False)
            self._live.start()
        self._live.update(Text(line, "dim", no_wrap=True, overflow="ellipsis"), refresh=True)

    def _interrupt(self, _number: int, _frame: object) -> None:
        self.interrupted = True
        raise KeyboardInterrupt


class Counting:
    """The progress of a batch: a line on stderr if that is a terminal, with the time left."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._live: Live | None = None

    def __enter__(self) -> Counting:
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, done: int, of: int, left: float | None) -> None:
        """Show how many are done, and about how many seconds the others will take."""
        from rich.live import Live
        from rich.text import Text

        from mmlocks.cli.screen import Screen

        if self._live is None:
            console = Screen(stderr=True)
            if not console.file.isatty() or console.is_dumb_terminal:
                return
            self._live = Live(console=console, transient=True, auto_refresh=False)
            self._live.start()
        rest = "" if left is None else f", about {left // 60:.0f} min {left % 60:.0f} s left"
        self._live.update(Text(f"{self._what} {done} of {of}{rest}", "dim"), refresh=True)
