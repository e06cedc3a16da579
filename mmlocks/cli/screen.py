"""The console. It imports rich, which is slow, so it is imported when something is printed."""

from __future__ import annotations

from rich.console import Console


class Screen(Console):
    """A console that guesses no colours, and leaves a closed pipe to `Commands`."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False)

    def on_broken_pipe(self) -> None:
        """Raise the BrokenPipeError that is being handled. Rich would exit with status 1."""
        raise BrokenPipeError
