"""Steps, results and answers as plain JSON values: a task's code may live in another process.

A handle is written as its name, `{"record": "heap"}`; a step and a named tuple by their parts.
Nothing that is read back can name a cell, a record or a type that the layout and the registry do
not know.
"""

from __future__ import annotations

import types
from typing import Any, NamedTuple

from mmlocks.errors import ModelError
from mmlocks.machine.state import Cell, Layout, Poison, Record
from mmlocks.machine.step import OPERATIONS
from mmlocks.machine.task import Answer, Place
from mmlocks.machine.values import Call, Step

Plain = None | bool | int | str | list[Any] | dict[str, Any]

NAMED_TUPLES: dict[str, Any] = {"Place": Place, "Poison": Poison}
"""Named tuples that may travel, by their class name."""


def travels(kind: Any) -> Any:
    """Class decorator: values of this named tuple may be stored in cells, and so must travel."""
    NAMED_TUPLES[kind.__name__] = kind
    return kind


EXCEPTIONS: dict[str, type[Exception]] = {}
"""Exceptions that a kernel function may raise to its caller, by their class name."""


def thrown(kind: type[Exception]) -> type[Exception]:
    """Class decorator: kernel functions may raise this exception, also to foreign callers."""
    EXCEPTIONS[kind.__name__] = kind
    return kind


@travels
class Threw(NamedTuple):
    """The result of a call that ended in an exception."""

    kind: str
    text: str

    @classmethod
    def of(cls, problem: BaseException) -> Threw | None:
        """The exception as a value; None if kernel functions do not raise its kind."""
        kind = type(problem)
        return cls(kind.__name__, str(problem)) if EXCEPTIONS.get(kind.__name__) is kind else None

    def again(self) -> Exception:
        """The exception, newly made."""
        return EXCEPTIONS[self.kind](self.text)


LARGEST_BITS = 256
LONGEST = 1_000
DEEPEST = 20
"""Limits of what foreign code may hand over: bits of a number, parts of a value, levels of nesting.

Addresses have 64 bits, and a search has far fewer areas and pages.
"""


def plain_from_abroad(value: Any, depth: int = 0) -> Any:
    """A value that foreign code hands over, made plain.

    A member of an enumeration becomes an int, and a list a tuple. No method of the value is called,
    as that would be foreign code: only its real type counts.

    Raises ModelError for other kinds of values, and for one that is larger than any of the machine.
    """
    kind = type(value)
    if value is None or kind is bool:
        return value
    if depth > DEEPEST:
        raise ModelError(f"a tuple is passed on that nests more than {DEEPEST} deep")
    if issubclass(kind, int):
        return _plain_number(value)
    if issubclass(kind, str):
        return _plain_text(value)
    if kind in (list, tuple):
        return _plain_parts(value, depth)
    if issubclass(kind, tuple) and NAMED_TUPLES.get(kind.__name__) is kind:
        return tuple.__new__(kind, _plain_parts(value, depth))
    if issubclass(kind, Record):
        return value
    if issubclass(kind, Step):
        return _plain_step(value, depth)
    raise _not_plain(value)


def _plain_number(value: Any) -> int:
    number = int.__index__(value)
    if number.bit_length() > LARGEST_BITS:
        raise ModelError(
            f"a number of {number.bit_length():,} bits is passed on; the largest has {LARGEST_BITS}"
        )
    return number


def _plain_text(value: Any) -> str:
    length = str.__len__(value)
    if length > LONGEST:
        raise ModelError(
            f"a text of {length:,} characters is passed on; the longest has {LONGEST:,}"
        )
    return str.__str__(value)


def _plain_parts(value: Any, depth: int) -> tuple[Any, ...]:
    if len(value) > LONGEST:
        raise ModelError(f"{len(value):,} values are passed on at once; the most are {LONGEST:,}")
    return tuple(plain_from_abroad(item, depth + 1) for item in value)


def _plain_step(value: Any, depth: int) -> Step:
    parts = plain_from_abroad(value.args, depth + 1)
    if not isinstance(parts, tuple):
        raise ModelError("a Step is made by hand, and its arguments are not a tuple")
    if issubclass(type(value), Call):
        return Call(parts[0], parts[1:])
    return Step(plain_from_abroad(value.op, depth + 1), parts)


def _not_plain(value: Any) -> ModelError:
    """The error about a value that has no plain form."""
    kind = type(value)
    if issubclass(kind, Cell):
        return ModelError(
            f"the field {value} itself is passed on, not its value; write `await` in front of it"
        )
    if kind is types.CoroutineType:
        value.close()  # else Python warns that it was never awaited
        return ModelError(
            f"a call of {value.__name__} is passed on, not its result; write `await` in front of it"
        )
    return ModelError(
        f"a {kind.__name__} is passed on, which is not a plain value: fields, steps and kernel "
        "functions take None, True and False, "
        "whole numbers, texts, tuples and handles"
    )


def to_plain(value: Any) -> Plain:
    """The JSON form of a step, a result, an answer, or anything that a cell may hold.

    Raises ModelError for a value that has none.
    """
    # A member of an enumeration is an int, too, and another value to a program.
    if value is None or type(value) in (bool, int, str):
        plain: Plain = value
        return plain
    if isinstance(value, Record):
        return {"record": value.name}
    if isinstance(value, Step):
        return {"step": value.op, "args": [to_plain(arg) for arg in value.args]}
    if isinstance(value, Answer):
        parts = (value.step, value.where, value.ended, value.value, value.message)
        return {"answer": [to_plain(part) for part in parts]}
    if isinstance(value, tuple):
        items = [to_plain(item) for item in value]
        if type(value) is tuple:
            return {"tuple": items}
        return {"named": type(value).__name__, "items": items}
    raise _not_plain(value)


def from_plain(plain: Any, layout: Layout) -> Any:
    """The value that `to_plain` wrote.

    Raises ModelError for a name that `layout` or the machine does not know.
    """
    if plain is None or isinstance(plain, bool | int | str):
        return plain

    def read(items: list[Any]) -> tuple[Any, ...]:
        return tuple(from_plain(item, layout) for item in items)

    try:
        match plain:
            case {"record": str(name)}:
                return layout.records[name]
            case {"step": "call", "args": [str(name), *args]}:
                return Call(name, read(args))
            case {"step": str(op), "args": list(args)} if op in OPERATIONS:
                return Step(op, read(args))
            case {"answer": [step, where, str(ended), value, str(message)]}:
                step, where, value = read([step, where, value])
                return _answer(step, where, ended, value, message)
            case {"tuple": list(items)}:
                return read(items)
            case {"named": str(name), "items": list(items)}:
                kind = NAMED_TUPLES[name]
                wanted = len(kind._fields)
                if len(items) != wanted:
                    raise ModelError(
                        f"a message has a {name} of {len(items)} parts; it takes {wanted}"
                    )
                return kind(*read(items))
    except KeyError as unknown:
        raise ModelError(f"a message names {unknown}, which this program does not have") from None
    raise ModelError(f"a message cannot be read: {str(plain)[:80]}")


def _answer(step: Any, where: Any, ended: str, value: Any, message: str) -> Answer:
    """An answer whose parts are of the right kinds. Raises ModelError if they are not."""
    fits = (
        (step is None or isinstance(step, Step))
        and isinstance(where, tuple)
        and all(isinstance(place, Place) for place in where)
        and ended in ("", "returned", "failed", "mistake")
        and (step is None) == (ended != "")
    )
    if not fits:
        raise ModelError("a message has an answer whose parts do not fit together")
    return Answer(step=step, where=where, ended=ended, value=value, message=message)
