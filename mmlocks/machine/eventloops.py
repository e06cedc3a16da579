"""Hiding Python's own event loop from code that we run.

A notebook runs its cells inside an event loop, and a terminal does not. The loop would meddle: it
is told of every async generator that begins, and `asyncio.sleep` works inside it. Code that we run
must do the same in both places.
"""

from __future__ import annotations

import sys
from typing import Any


class LoopHidden:
    """While it is entered, this thread seems to run no event loop."""

    def __enter__(self) -> None:
        self._hooks: Any = sys.get_asyncgen_hooks()
        if self._hooks != (None, None):
            sys.set_asyncgen_hooks(None, None)
        self._events = sys.modules.get("asyncio.events")
        self._loop = self._events._get_running_loop() if self._events is not None else None
        if self._events is not None and self._loop is not None:
            self._events._set_running_loop(None)

    def __exit__(self, *_: object) -> None:
        if self._hooks != (None, None):
            sys.set_asyncgen_hooks(*self._hooks)
        if self._events is not None and self._loop is not None:
            self._events._set_running_loop(self._loop)
