"""Reading a learner's file, and running its functions, in the process of the command line."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mmlocks.errors import AnswerError

if TYPE_CHECKING:
    from mmlocks.labs import Answer

SECONDS = 10.0
"""An answer defines functions; that takes no time at all."""


def load_answer(file: Path, seconds: float = SECONDS) -> Answer:
    """The answer in a file. What its code prints goes to stderr.

    Raises AnswerError, as `read_answer` does, also for a file that is not done after so many seconds.
    """
    from mmlocks.labs import read_answer

    with contextlib.redirect_stdout(sys.stderr):
        return read_answer(file, seconds)


def leave(status: object) -> None:
    """End the process at once where threads of an answer's would keep it from ending."""
    mine = threading.main_thread()
    if any(thread is not mine and not thread.daemon for thread in threading.enumerate()):
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(status if isinstance(status, int) else 1)


@contextlib.contextmanager
def own_code(file: Path) -> Iterator[None]:
    """While a learner's functions run: their prints go to stderr, they can import what lies beside them, and they cannot end this process."""
    from mmlocks.machine.refused import guarded

    path = list(sys.path)
    sys.path.insert(0, str(file.resolve().parent))
    try:
        with contextlib.redirect_stdout(sys.stderr), guarded():
            yield
    except (SystemExit, GeneratorExit) as problem:
        raise AnswerError(
            f"a function in {file.name} raised {type(problem).__name__}, which ends the whole program instead of a "
            "task, so nothing was judged. Leave with `return`."
        ) from None
    finally:
        sys.path[:] = path
