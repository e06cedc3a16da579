"""Stopping code that runs on and on, or that waits for something outside of the machine.

Code that runs on is found without a timer, so the answer is the same on every machine: what the
code does is counted. CPython 3.12 and later report every jump (`sys.monitoring`). 3.11 can report
every instruction (`sys.settrace`). That is slower, so instructions of this package are not counted;
none of its loops lasts long.

Once the limit is reached, an exception is raised at every further jump: code that catches
everything does not get away. 3.11 stops tracing at the first exception, so there an alarm begins it
again.

Code that waits (for a lock of Python's, for `input()`, in `time.sleep`) is found by an alarm, if
the system has one, and in the main thread only.

Python acts on an alarm between two of its instructions. A single call that computes for hours, such
as `sum(range(10**12))`, does not come to that. A second timer counts its CPU time, and then the
system itself ends the process. Windows and WebAssembly have no such timer, nor has a thread that is
not the main one: there such a call is not ended.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import threading
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from mmlocks.machine.task import PACKAGE, line_of

LIMIT = 300_000
"""Jumps (instructions on 3.11), far more than any kernel function takes between two steps."""

SECONDS = 5.0
"""Wall time between two steps. Code that takes longer is said to wait."""

SOON = 0.02
"""Seconds from one alarm to the next."""

LONG = 0.25
"""Wall time after which code is counted although it came to its end the first time (3.11)."""

RINGS = 500
"""Alarms that code may swallow. Then its process is ended, as nothing else can stop it."""

STUCK = 20.0
"""Seconds of CPU time after which the system ends a process that does not act on alarms."""

END = os._exit
"""Taken here, because learners' code may not call it (see `mmlocks.machine.refused`)."""

RUNS = "run_apart"
"""The function of ours that runs the code which is limited."""

OURS = f"{PACKAGE}{os.sep}"
LIBRARY = str(Path(os.__file__).parent)

MONITORING_TOOL = 4
"""A number that CPython has reserved for no tool."""
NAME = "mmlocks"


class EndlessLoop(BaseException):
    """Raised inside code that ran on. A BaseException: `except Exception` does not catch it."""

    place = ("", "", 0)
    """Function, file and line."""

    def __init__(self, *place: Any) -> None:
        super().__init__(*place)
        self.place = place or self.place


class Waits(EndlessLoop):
    """Raised inside code that waits, or computes, for too long."""


class _Innermost(threading.local):
    """The limit that counts what this thread does now."""

    limit: Limited | None = None


_INNERMOST = _Innermost()

PASS = 100
"""What a pass through a loop of ours counts for: the jumps and instructions of a foreign loop."""


def passed(place: tuple[str, str, int]) -> None:
    """Count one pass through a loop of ours that lasts as long as foreign code wants.

    `place` is where the foreign code stands. Raises EndlessLoop once it is too much.
    """
    if _INNERMOST.limit is not None:
        _INNERMOST.limit.passed(place)


class Limited:
    """While it is entered, it limits what code of this thread does.

    The code gets EndlessLoop once it has done too much, and with `alarm` also Waits once it has
    taken too long.

    A debugger or a coverage run that traces already stays in place; on 3.11 nothing is counted
    then. An alarm that was set before stays in place, too. `again` says that this code has come to
    its end before, after the same results.
    """

    def __init__(self, alarm: bool = False, again: bool = False) -> None:
        self._again = again and sys.version_info < (3, 12)
        self._count = 0
        self._rings = 0
        self._alarm = alarm
        self._counting = False
        self._first = False
        self._thread = threading.get_ident()
        self._around: Limited | None = None
        self._before: Any = None
        self._outer: Any = None
        """What counted before: a limit around this one, which goes on afterwards."""

    def __enter__(self) -> Limited:
        self._around, _INNERMOST.limit = _INNERMOST.limit, self
        self._alarm = (
            self._alarm
            and _alarms()
            and signal.getsignal(signal.SIGALRM) in (signal.SIG_DFL, signal.SIG_IGN)
        )
        if self._alarm:
            self._before = signal.signal(signal.SIGALRM, self._rang)
            signal.setitimer(signal.ITIMER_REAL, LONG if self._again else SECONDS, SOON)
            _end_if_stuck(STUCK)
        self._again = self._again and self._alarm
        if sys.version_info >= (3, 12):
            monitoring = sys.monitoring
            used = monitoring.get_tool(MONITORING_TOOL)
            self._counting = used in (None, NAME)
            self._first = used is None
            if self._first:
                monitoring.use_tool_id(MONITORING_TOOL, NAME)
                monitoring.set_events(MONITORING_TOOL, monitoring.events.JUMP)
            if self._counting:
                self._outer = monitoring.register_callback(
                    MONITORING_TOOL, monitoring.events.JUMP, self._jumped
                )
        else:
            self._outer = sys.gettrace()
            self._counting = self._outer is None or isinstance(
                getattr(self._outer, "__self__", None), Limited
            )
            if self._counting and not self._again:
                sys.settrace(self._traced)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Limit nothing any more."""
        if _INNERMOST.limit is self:
            _INNERMOST.limit = self._around
        counting, self._counting = self._counting, False
        if counting and sys.version_info >= (3, 12):
            sys.monitoring.register_callback(
                MONITORING_TOOL, sys.monitoring.events.JUMP, self._outer
            )
            if self._first:
                sys.monitoring.set_events(MONITORING_TOOL, 0)
                sys.monitoring.free_tool_id(MONITORING_TOOL)
        elif counting:
            sys.settrace(self._outer)
        if self._alarm:
            self._alarm = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            _end_if_stuck(0)
            signal.signal(signal.SIGALRM, self._before)

    def passed(self, place: tuple[str, str, int]) -> None:
        """Count one pass through a loop of ours; see `passed`."""
        self._count += PASS
        if self._count > LIMIT:
            raise EndlessLoop(*place)

    def _jumped(self, code: CodeType, offset: int, destination: int) -> None:
        if threading.get_ident() != self._thread:
            return
        self._count += 1
        if self._count > LIMIT:
            lines = [
                line
                for start, end, line in code.co_lines()
                if start <= offset < end and line is not None
            ]
            line = lines[0] if lines else code.co_firstlineno
            raise EndlessLoop(code.co_name, code.co_filename, line)

    def _traced(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "opcode":
            self._count += 1
            if self._count > LIMIT:
                if self._alarm:
                    signal.setitimer(signal.ITIMER_REAL, SOON, SOON)
                raise EndlessLoop(frame.f_code.co_name, frame.f_code.co_filename, line_of(frame))
        elif event == "call":
            if frame.f_code.co_filename.startswith(OURS):
                return None  # its own calls are still reported
            frame.f_trace_lines = False
            # Instructions, not lines: `while True: pass` never begins another line.
            frame.f_trace_opcodes = True
        return self._traced

    def _rang(self, number: int, frame: FrameType | None) -> None:
        while frame is not None and frame.f_code.co_filename.startswith((OURS, LIBRARY)):
            if frame.f_code.co_name == RUNS:  # the alarm is late: what it was set for is over
                return
            frame = frame.f_back
        if frame is None:
            return
        place = (frame.f_code.co_name, frame.f_code.co_filename, line_of(frame))
        if self._again:
            self._again = False
            self._count_from(frame)
            signal.setitimer(signal.ITIMER_REAL, SECONDS, SOON)
            return
        self._rings += 1
        if self._rings > RINGS:
            where = f"{Path(place[1]).name}, line {place[2]}"
            print(
                f"mmlocks: {place[0]} ({where}) goes on and on and swallows every exception that "
                "would stop it, so this process ends. "
                "Nothing was judged. Look for an `except:` in a loop, and name the exception that "
                "it is for.",
                file=sys.__stderr__,
                flush=True,
            )
            END(2)
        if sys.version_info < (3, 12):
            self._count_from(frame)
        raise EndlessLoop(*place) if self._count > LIMIT else Waits(*place)

    def _count_from(self, frame: FrameType | None) -> None:
        """Count the instructions of code that runs already, on 3.11."""
        if not self._counting:
            return
        sys.settrace(self._traced)
        while frame is not None and not frame.f_code.co_filename.startswith(OURS):
            frame.f_trace, frame.f_trace_lines, frame.f_trace_opcodes = self._traced, False, True
            frame = frame.f_back


class Paused:
    """While it is entered, a limit of this thread does not count.

    For our own work in the midst of code that is limited.
    """

    def __enter__(self) -> None:
        self._outer: Any = None
        if sys.version_info >= (3, 12):
            self._ours = sys.monitoring.get_tool(MONITORING_TOOL) == NAME
            if self._ours:
                self._outer = sys.monitoring.register_callback(
                    MONITORING_TOOL, sys.monitoring.events.JUMP, None
                )
        else:
            self._outer = sys.gettrace()
            self._ours = isinstance(getattr(self._outer, "__self__", None), Limited)
            if self._ours:
                sys.settrace(None)

    def __exit__(self, *_: object) -> None:
        if not self._ours:
            return
        if sys.version_info >= (3, 12):
            sys.monitoring.register_callback(
                MONITORING_TOOL, sys.monitoring.events.JUMP, self._outer
            )
        else:
            sys.settrace(self._outer)


_tells: list[bool] = []
"""Whether the place is told before the process ends; found out once."""


def _end_if_stuck(seconds: float) -> None:
    """Let the system end this process after so much CPU time, unless this is called again before.

    Before that, it writes the line at which Python stands to stderr.
    """
    if signal.getsignal(signal.SIGPROF) is not signal.SIG_DFL:
        return  # a profiler uses this timer
    if not _tells:
        _tells.append(True)
        stream = sys.__stderr__
        with contextlib.suppress(OSError, ValueError, AttributeError, RuntimeError):
            if stream is not None:
                faulthandler.register(signal.SIGPROF, stream, all_threads=False, chain=True)
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _alarms() -> bool:
    """Whether this thread can be rung, and no alarm is set (Windows and WebAssembly have none)."""
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
    ):
        return False
    return signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
