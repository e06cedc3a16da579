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
"""An answer defines functions; that takes no time at all."""
PATIENCE = 5
"""So many times is an answer asked to stop, a tenth of a second apart."""


class TooLong(BaseException):
    """Raised in a file that does not finish; a BaseException, so that `except Exception` does not hold it."""


@contextlib.contextmanager
def limited(
    name: str, seconds: float, line_in: Callable[[FrameType | None], str]
) -> Iterator[None]:
    """A limit of wall time, where the system has interval timers (all but Windows) and for the main thread.

    `line_in` says of a frame where in the learner's file it stands. Raises AnswerError. A file that catches even TooLong ends the
    process, with exit status 2: there is no other way to stop it.
    """
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
    ):
        yield
        return
    places: list[str] = []
    ends = os._exit  # the file may not call it, and we may

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
        f"{where or name}: still running after {seconds:g} seconds, and was stopped; nothing was judged. "
        "An answer only defines functions: look for a loop that never ends, or for something that waits, outside of them."
    )
