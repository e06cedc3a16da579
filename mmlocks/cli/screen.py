"""The console. It is the one file of the command line that imports rich, and is imported when there is something to print in colour."""

from __future__ import annotations

from rich.console import Console


class Screen(Console):
    """A console without guesses: it colours what it is told to, and leaves a closed pipe to `Commands`."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False)

    def on_broken_pipe(self) -> None:
        """Called while a BrokenPipeError is being handled; rich would exit with status 1 here."""
        raise BrokenPipeError
