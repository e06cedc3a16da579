"""A limit on how long a learner's file may take to load: it runs in this process."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from mmlocks.errors import AnswerError

SECONDS = 10.0
"""An answer only defines functions, which takes almost no time."""
PATIENCE = 5
"""An answer is asked to stop so many times, a tenth of a second apart."""


class TooLong(BaseException):
    """Raised in a file that does not finish.

    It is a BaseException, so that the file's `except Exception` does not catch it.
    """


@contextlib.contextmanager
def limited(
    name: str, seconds: float, line_in: Callable[[FrameType | None], str]
) -> Iterator[None]:
    """A limit of wall time. It works in the main thread, on all systems but Windows.

    Windows has no interval timers. `line_in` gives the line of the learner's file at which a
    frame stands. Raises AnswerError. If the file catches even TooLong, the process ends with exit
    status 2, because nothing else stops it.
    """
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
    ):
        yield
        return
    places: list[str] = []
    ends = os._exit  # taken here, because learners' files may not call it

    def ring(_number: int, frame: FrameType | None) -> None:
        places.append(line_in(frame))
        if len(places) > PATIENCE:
            print(f"mmlocks: {_endless(name, places[0], seconds)}", file=sys.__stderr__, flush=True)
            ends(2)
        raise TooLong

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.1)
    try:
        yield
        signal.setitimer(signal.ITIMER_REAL, 0)
    except TooLong:
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise AnswerError(_endless(name, places[0], seconds)) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _endless(name: str, where: str, seconds: float) -> str:
    return (
        f"{where or name}: still running after {seconds:g} seconds, and was stopped; nothing was "
        "judged. An answer only defines functions: look for a loop that never ends, or for "
        "something that waits, outside of them."
    )
