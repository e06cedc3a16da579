"""What code that is judged may not ask of this process: to end it, or to wait for a person.

Messages leave out the machine's own files. These functions stand in one of them, so a message
names the learner's line.
"""

from __future__ import annotations

import bdb
import builtins
import io
import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from mmlocks.machine.task import PACKAGE, Place

ENDS = "it ends the whole program. Delete it; a function is left with `return`"
WAITS = "it waits for a person, and a search runs this code many thousand times."
INPUT = f"{WAITS} Write the value into the code"
STOPS = f"{WAITS} Delete it; to look into a run, step through its schedule"

MISSING = object()


class Refused(BaseException):
    """Code asked for something that it cannot have here.

    A BaseException, so that `except Exception` does not catch it.

    Its text says what and why. `place` is the line that asked.
    """

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what} cannot be used here: {why}")
        self.place = _asking()

    def _render_traceback_(self) -> list[str]:
        """What IPython prints instead of a traceback, if a cell asked outside of any function."""
        return [
            textwrap.fill(
                f"{self.place.spot}: {self}." if self.place is not None else f"{self}.", 76
            )
        ]


def refusing(what: str, why: str) -> Callable[..., NoReturn]:
    """A function that takes anything and raises Refused."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise Refused(what, why)

    return refuse


@contextmanager
def guarded() -> Iterator[None]:
    """While it is entered: exit, quit, input, breakpoint and their kin raise Refused.

    Not for two threads at once.
    """
    import pdb  # noqa: T100  as it is to be kept from starting

    changes: list[tuple[Any, str, Any]] = [
        *((builtins, name, refusing(f"{name}()", ENDS)) for name in ("exit", "quit")),
        (builtins, "input", refusing("input()", INPUT)),
        (sys, "breakpointhook", refusing("breakpoint()", STOPS)),
        (pdb, "set_trace", refusing("set_trace()", STOPS)),
        (bdb.Bdb, "set_trace", refusing("set_trace()", STOPS)),
        (os, "_exit", refusing("os._exit()", ENDS)),
        (os, "abort", refusing("os.abort()", ENDS)),
        (sys, "stdin", NoInput()),
    ]
    shell = _shell()
    if shell is not None:
        changes.append((shell, "ask_exit", refusing("exit()", ENDS)))
    before = [(owner, name, vars(owner).get(name, MISSING)) for owner, name, _ in changes]
    for owner, name, value in changes:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in before:
            if value is MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, value)


class NoInput(io.TextIOBase):
    """A standard input without a person at its other end."""

    read = readline = readlines = __next__ = staticmethod(refusing("reading from stdin", INPUT))

    def readable(self) -> bool:
        """It looks like a file that can be read."""
        return True


def _shell() -> Any:
    """The IPython that this runs in, if it does."""
    ipython = sys.modules.get("IPython")
    found = getattr(ipython, "get_ipython", None)
    return found() if found is not None else None


def _asking() -> Place | None:
    """The innermost line outside of this package and of the debugger."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith((f"{PACKAGE}{os.sep}", bdb.__file__.rpartition(os.sep)[0] + os.sep)):
            return Place.of(frame)
        frame = frame.f_back
    return None
