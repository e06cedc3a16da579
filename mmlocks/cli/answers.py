"""Reading a learner's file: in this process, so with a limit on how long it may take to load."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from mmlocks.errors import AnswerError

SECONDS = 10.0
"""An answer defines functions; that takes no time at all."""
PATIENCE = 5
"""So many times is an answer asked to stop, a tenth of a second apart."""


class _TooLong(BaseException):
    """Raised in a file that does not finish; a BaseException, so that `except Exception` does not hold it."""


def load_answer(file: Path, seconds: float = SECONDS) -> dict[str, Any]:
    """The names that an answer defines. What the file prints goes to stderr.

    Raises AnswerError, as `read_answer` does, and for a file that is not done after so many seconds.
    """
    from mmlocks.labs import read_answer

    with contextlib.redirect_stdout(sys.stderr), _limited(file, seconds):
        return read_answer(file)


@contextlib.contextmanager
def own_code(file: Path) -> Iterator[None]:
    """While a learner's functions run: their prints go to stderr, and an exit of theirs is no exit of ours."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except (SystemExit, GeneratorExit) as problem:
        raise AnswerError(
            f"a function in {file.name} raised {type(problem).__name__}, which ends the whole program instead of a "
            "task, so nothing was judged. Leave with `return`."
        ) from None


@contextlib.contextmanager
def _limited(file: Path, seconds: float) -> Iterator[None]:
    """A limit of wall time, where the system has interval timers (all but Windows)."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    lines: list[int] = []

    def ring(_number: int, frame: FrameType | None) -> None:
        line = _line_in(frame, file.name)
        lines.append(line)
        if len(lines) > PATIENCE:  # it catches everything; there is no other way to stop it
            print(f"mmlocks: {_endless(file, lines[0], seconds)}", file=sys.stderr, flush=True)
            os._exit(2)
        raise _TooLong

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.1)
    try:
        yield
    except _TooLong:
        raise AnswerError(_endless(file, lines[0], seconds)) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _endless(file: Path, line: int, seconds: float) -> str:
    where = f", line {line}" if line else ""
    return (
        f"{file.name}{where}: still running after {seconds:g} seconds, and was stopped; nothing was judged. "
        "An answer only defines functions: look for a loop that never ends, or for something that waits, outside of them."
    )


def _line_in(frame: FrameType | None, name: str) -> int:
    """The line at which that file stands now; 0 if it is not known."""
    while frame is not None:
        if frame.f_code.co_filename == name:
            return frame.f_lineno
        frame = frame.f_back
    return 0
