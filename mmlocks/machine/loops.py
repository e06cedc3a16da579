"""Stopping code that runs on and on, without a timer: counting what it does is the same on every machine.

CPython 3.12 and later tell us of every jump (`sys.monitoring`). 3.11 can be made to tell of every instruction (`sys.settrace`), which is
slower (so instructions of this package are not counted: none of its loops lasts); later versions have that as well, but lose sight of a
loop in the first piece of a coroutine. On 3.11, code that swallows the exception with a bare `except:` inside its loop gets away: tracing
ends with the first exception.
"""

from __future__ import annotations

import os
import sys
import threading
from types import CodeType, FrameType
from typing import Any

from mmlocks.machine.task import PACKAGE

LIMIT = 300_000
"""Jumps, or instructions on 3.11: far more than any kernel function takes between two steps."""

OURS = f"{PACKAGE}{os.sep}"

MONITORING_TOOL = 4
"""One of the numbers that CPython leaves to nobody in particular."""


class EndlessLoop(BaseException):
    """Raised inside code that ran on; a BaseException, so that `except Exception` cannot hold it. Names file and line."""

    def __init__(self, function: str, file: str, line: int) -> None:
        super().__init__(function, file, line)
        self.place = (function, file, line)


class Limited:
    """While it is entered: code of this thread raises EndlessLoop once it has done too much.

    Leaves a debugger or a coverage run in place that is tracing already; on 3.11 nothing is counted then.
    """

    def __init__(self) -> None:
        self._count = 0
        self._thread = threading.get_ident()

    def __enter__(self) -> Limited:
        if sys.version_info >= (3, 12):
            monitoring = sys.monitoring
            self._counting = monitoring.get_tool(MONITORING_TOOL) is None
            if self._counting:
                monitoring.use_tool_id(MONITORING_TOOL, "mmlocks")
                monitoring.register_callback(MONITORING_TOOL, monitoring.events.JUMP, self._jumped)
                monitoring.set_events(MONITORING_TOOL, monitoring.events.JUMP)
        else:
            self._counting = sys.gettrace() is None
            if self._counting:
                sys.settrace(self._traced)
        return self

    def __exit__(self, *_: object) -> None:
        if not self._counting:
            return
        if sys.version_info >= (3, 12):
            sys.monitoring.set_events(MONITORING_TOOL, 0)
            sys.monitoring.register_callback(MONITORING_TOOL, sys.monitoring.events.JUMP, None)
            sys.monitoring.free_tool_id(MONITORING_TOOL)
        else:
            sys.settrace(None)

    def _jumped(self, code: CodeType, offset: int, destination: int) -> None:
        if threading.get_ident() != self._thread:
            return
        self._count += 1
        if self._count > LIMIT:
            lines = [
                line for start, end, line in code.co_lines() if start <= offset < end and line is not None
            ]
            raise EndlessLoop(code.co_name, code.co_filename, lines[0] if lines else code.co_firstlineno)

    def _traced(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "opcode":
            self._count += 1
            if self._count > LIMIT:
                raise EndlessLoop(frame.f_code.co_name, frame.f_code.co_filename, frame.f_lineno)
        elif event == "call":
            if frame.f_code.co_filename.startswith(OURS):
                return None  # what it calls is told of again
            frame.f_trace_lines = False
            frame.f_trace_opcodes = (
                True  # instructions, not lines: `while True: pass` never begins another line
            )
        return self._traced
