"""Values: what is compared, sent to another process and written down. Steps are values too.

A `Step` is a request to the machine: the name of an operation and its arguments. What the operation
does stands in `mmlocks.machine.step`. So a machine can carry out a step without the code that asked
for it.
"""

from __future__ import annotations

import operator
import sys
import threading
from collections.abc import Callable, Generator
from typing import Any


def exact(value: Any) -> Any:
    """A key that tells apart what Python calls equal: 1 and True, 0.0 and -0.0, also in tuples."""
    kind = type(value)
    if kind is int or kind is bool or value is None:
        return kind, value
    if isinstance(value, tuple):
        return kind, tuple(exact(part) for part in value)
    if isinstance(value, frozenset):
        return kind, frozenset(exact(part) for part in value)
    if isinstance(value, float | complex):
        return kind, repr(value)
    return kind, value


def words(value: Any) -> str:
    """A value in a sentence: `none` for None, and `a, b` for several."""
    if value is None:
        return "none"
    return ", ".join(map(words, value)) or "none" if type(value) is tuple else str(value)


class Unawaited(threading.local):
    """Steps that a running task has built and not yet awaited, in each thread.

    See `mmlocks.machine.coroutine`.
    """

    steps: list[Step] | None = None


UNAWAITED = Unawaited()


class Step:
    """A request to the machine: `await step` hands it over and returns its result."""

    __slots__ = ("args", "made_at", "op")

    def __init__(self, op: str, args: tuple[Any, ...]) -> None:
        self.op = op
        self.args = args
        self.made_at = ("", "", 0)
        if UNAWAITED.steps is not None:
            self.made_at = _making()
            UNAWAITED.steps.append(self)

    def __await__(self) -> Generator[Step, Any, Any]:
        return (yield self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Step) or self.op != other.op or len(self.args) != len(other.args):
            return False
        same_objects = all(map(operator.is_, self.args, other.args))
        return same_objects or exact(self.args) == exact(other.args)

    def __hash__(self) -> int:
        return hash((self.op, self.args))

    def __bool__(self) -> bool:
        raise TypeError(
            f"the step {self.op} was used as a value but never awaited; write `await` in front of "
            "it"
        )

    def __repr__(self) -> str:
        return f"{self.op}{self.args}"


class Call(Step):
    """A request to call a function by its name.

    Only code that runs apart from a kernel makes it (see `mmlocks.machine.foreign`), and no machine
    carries it out. `text` is the function itself, for a caller that needs no other one.
    """

    __slots__ = ("text",)

    def __init__(
        self, name: str, args: tuple[Any, ...], text: Callable[..., Any] | None = None
    ) -> None:
        super().__init__(CALL, (name, *args))
        self.text = text


CALL = "call"


def _making() -> tuple[str, str, int]:
    """Function, file and line that built a step: the nearest frame that is a coroutine's."""
    frame = sys._getframe(2)
    while frame.f_back is not None and not frame.f_code.co_flags & 0x80:
        frame = frame.f_back
    return frame.f_code.co_name, frame.f_code.co_filename, frame.f_lineno
