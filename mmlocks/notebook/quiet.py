"""Keeps what a learner's functions print out of the cell that judges them.

A search runs a function thousands of times, and nbgrader gives no points to a check cell that has
anything on stderr.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from typing import Any


class Swallowed(io.TextIOBase):
    """A stream that drops all text; `any` says whether there was some."""

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
    """Inside it, nothing reaches stdout, stderr or the cell's output.

    The streams' own `write` is replaced too: a logger keeps the stream that it was made with.
    """
    sink = Swallowed()
    publisher = getattr(ipython(), "display_pub", None)
    with contextlib.ExitStack() as changes:
        streams = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
        for stream in {id(one): one for one in streams if one is not None}.values():
            changes.enter_context(_instead(stream, "write", sink.write))
        if publisher is not None:
            changes.enter_context(_instead(publisher, "publish", lambda *_, **__: None))
        changes.enter_context(contextlib.redirect_stdout(sink))
        changes.enter_context(contextlib.redirect_stderr(sink))
        yield sink


@contextlib.contextmanager
def _instead(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Replace an attribute for a while, if the object allows it."""
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


def ipython() -> Any:
    """The IPython shell that this runs in, or None."""
    found = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return found() if found is not None else None
