"""Keeping what a learner's functions print out of the cell that judges them.

A search runs a function thousands of times, and nbgrader gives no point to a check cell with anything on stderr.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from typing import Any


class Swallowed(io.TextIOBase):
    """A stream that keeps nothing; `any` tells whether there was something."""

    def __init__(self) -> None:
        self.any = False

    def write(self, text: str) -> int:
        """Take the text and forget it."""
        self.any = self.any or bool(text.strip())
        return len(text)

    def writable(self) -> bool:
        """It looks like a file that can be written to."""
        return True


@contextlib.contextmanager
def quiet() -> Iterator[Swallowed]:
    """While it is entered, nothing reaches stdout, stderr or the cell's output.

    The streams' own `write` is taken away as well: a logger keeps the stream that it was made with.
    """
    sink = Swallowed()
    publisher = getattr(_shell(), "display_pub", None)
    with contextlib.ExitStack() as changes:
        for stream in {
            id(one): one
            for one in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
            if one is not None
        }.values():
            changes.enter_context(_instead(stream, "write", sink.write))
        if publisher is not None:
            changes.enter_context(_instead(publisher, "publish", lambda *_, **__: None))
        changes.enter_context(contextlib.redirect_stdout(sink))
        changes.enter_context(contextlib.redirect_stderr(sink))
        yield sink


@contextlib.contextmanager
def _instead(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Another attribute for a while, where the object allows it."""
    before = getattr(owner, "__dict__", {}).get(name)
    try:
        setattr(owner, name, value)
    except (AttributeError, TypeError):
        yield
        return
    try:
        yield
    finally:
        if before is None:
            delattr(owner, name)
        else:
            setattr(owner, name, before)


def _shell() -> Any:
    """The IPython that this runs in, if it does."""
    found = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return found() if found is not None else None
