"""Running a task's own code: what it may do meanwhile, what it leaves behind, and how it is ended.

A task's code may be a learner's. While it runs, the machine limits it (see
`mmlocks.machine.loops`), notes the steps that it builds, and catches Python's warnings about
coroutines that were never awaited.
"""

from __future__ import annotations

import sys
import threading
import types
import warnings
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from typing import Any

from mmlocks.errors import NondeterminismError, NotJudged, Undecided
from mmlocks.machine.eventloops import LoopHidden
from mmlocks.machine.loops import Limited
from mmlocks.machine.mistakes import inside, spoken
from mmlocks.machine.state import FOREIGN
from mmlocks.machine.task import Place
from mmlocks.machine.values import UNAWAITED, Step
from mmlocks.machine.wire import plain_from_abroad

PASSING = (KeyboardInterrupt, NondeterminismError, NotJudged, Undecided)
"""Exceptions that pass through a task and are not its own failure."""

CLOSINGS = 100
"""How often a coroutine is told to end: once for each `await` in its `finally` blocks, at most."""


def run_apart(code: Callable[[], Any], foreign: bool, limited: bool, again: bool = False) -> Any:
    """Run some of a task's code, and note meanwhile whether it is foreign.

    The kernel's text may run foreign code. Foreign code never runs the kernel's.
    """
    limit = Limited(foreign, again) if limited else None
    outer, FOREIGN.running = FOREIGN.running, foreign
    try:
        with LoopHidden(), limit or nullcontext():
            return code()
    finally:
        FOREIGN.running = outer
        if limit is not None:
            limit.stop()


def end(coroutine: Coroutine[Step, Any, Any], foreign: bool) -> None:
    """End a coroutine that is needed no more, and ignore what it does about that.

    A coroutine that is merely dropped goes on when Python collects it. That may be in the middle of
    another task's run, which would then seem to do what this one does.
    """
    outer, UNAWAITED.steps = UNAWAITED.steps, None
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    # The hook is called for an async generator that awaits in a `finally`.
    try:
        with warnings.catch_warnings():
            # A run that was cut short may leave coroutines that were never awaited: not a mistake.
            warnings.simplefilter("ignore")
            for _ in range(CLOSINGS):
                try:
                    run_apart(coroutine.close, foreign, limited=foreign)
                    break
                except RuntimeError as problem:
                    if "ignored GeneratorExit" not in str(problem):
                        break
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: S110  what its `finally` raises is not a mistake either
        pass
    finally:
        UNAWAITED.steps, sys.unraisablehook = outer, hook


def made_plain(step: Step) -> Step:
    """A foreign step as a plain value: foreign code could still change its own."""
    outer, UNAWAITED.steps = UNAWAITED.steps, None
    try:
        plain: Step = plain_from_abroad(step)
        return plain
    finally:
        UNAWAITED.steps = outer


class Noting:
    """While it is entered: `pending` collects the steps that are built and not yet awaited.

    With them, where each coroutine was made.
    """

    def __init__(self, pending: list[Step]) -> None:
        self._pending = pending

    def __enter__(self) -> None:
        self._depth = sys.get_coroutine_origin_tracking_depth()
        self._outer, UNAWAITED.steps = UNAWAITED.steps, self._pending
        sys.set_coroutine_origin_tracking_depth(1)

    def __exit__(self, *_: object) -> None:
        UNAWAITED.steps = self._outer
        sys.set_coroutine_origin_tracking_depth(self._depth)


_WATCHING = threading.RLock()
"""All threads share one place to catch warnings, and the player searches in a thread of its own."""


class Watched:
    """While it is entered: note the steps that a task builds, and the coroutines that it drops.

    This is slow, and so is limiting what code does. So a history is watched once, and replayed
    unwatched.
    """

    def __init__(self, pending: list[Step]) -> None:
        self._pending = pending
        self._warned: list[warnings.WarningMessage] = []

    def __enter__(self) -> Watched:
        _WATCHING.acquire()
        self._noting = Noting(self._pending)
        self._noting.__enter__()
        self._catch = warnings.catch_warnings(record=True)
        self._warned = self._catch.__enter__()
        warnings.simplefilter("always", RuntimeWarning)
        return self

    def __exit__(self, *_: object) -> None:
        self._catch.__exit__(None, None, None)
        self._noting.__exit__()
        _WATCHING.release()

    def forgotten(self, cpu: int, *, finished: bool, failed: bool) -> str:
        """One sentence about a call or a step that was never awaited; "" if there is none."""
        for warning in self._warned:
            coroutine = warning.source
            if isinstance(coroutine, types.CoroutineType) and coroutine.cr_origin:
                file, line, _ = coroutine.cr_origin[0]
                called = coroutine.__name__  # its code may be a stand-in's
                where = spoken((Place(called, file, line),), function=False)
                return (
                    f"cpu{cpu}: {called}() was called but not awaited ({where}), so it did "
                    "nothing. "
                    f"Write `await {called}(...)`."
                )
        if finished and not failed and self._pending:
            step = self._pending[0]
            made = inside((Place(*step.made_at),))
            return (
                f"cpu{cpu}: the step {step.op} was made{made} but not awaited, so it did nothing. "
                "Write `await` in front of it."
            )
        return ""
