"""Reading a learner's file and running its functions in the process of the command line."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mmlocks.errors import AnswerError

if TYPE_CHECKING:
    from mmlocks.labs import Answer

SECONDS = 10.0
"""Defining functions takes almost no time."""

PATIENCE = 1.0
"""Seconds that threads may take to end after the command is done."""


def load_answer(file: Path, seconds: float = SECONDS) -> Answer:
    """The answer in a file. What its code prints goes to stderr.

    Raises AnswerError as `read_answer` does, and if the file still runs after so many seconds.
    """
    from mmlocks.labs import read_answer

    with contextlib.redirect_stdout(sys.stderr):
        return read_answer(file, seconds)


def leave(status: object) -> None:
    """End the process if threads of an answer would keep it running.

    The thread of a process pool ends by itself and clears up first.
    """
    mine = threading.main_thread()
    others = [
        thread for thread in threading.enumerate() if thread is not mine and not thread.daemon
    ]
    deadline = time.monotonic() + PATIENCE
    for thread in others:
        thread.join(max(0.0, deadline - time.monotonic()))
    if any(thread.is_alive() for thread in others):
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(status if isinstance(status, int) else 1)


@contextlib.contextmanager
def own_code(file: Path) -> Iterator[None]:
    """Run a learner's functions in here.

    Their prints go to stderr. They can import files beside their own. They cannot end this process.
    """
    from mmlocks.machine.refused import guarded

    path = list(sys.path)
    sys.path.insert(0, str(file.resolve().parent))
    try:
        with contextlib.redirect_stdout(sys.stderr), guarded():
            yield
    except (SystemExit, GeneratorExit) as problem:
        raise AnswerError(
            f"a function in {file.name} raised {type(problem).__name__}, which ends the whole "
            "program instead of a task, so nothing was judged. Use `return` instead."
        ) from None
    finally:
        sys.path[:] = path
