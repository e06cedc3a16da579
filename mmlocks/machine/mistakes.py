"""What is said of a task's code that failed or broke a rule of the machine, and where it stood."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmlocks.machine.advice import advice_on
from mmlocks.machine.moment import SHOWN_AS
from mmlocks.machine.task import PACKAGE, Answer, Place
from mmlocks.machine.values import Call
from mmlocks.machine.wire import Threw

STANDARD_LIBRARY = str(Path(os.__file__).parent)
"""A slip inside `asyncio.sleep` is reported where the learner called it."""

MACHINERY = f"{Path(__file__).parent}{os.sep}"

NOT_AWAITABLE = r"(?:object )?'?(\w+)'?(?: object)? can't be (?:used in 'await' expression|awaited)"
"""Python's words: "object int can't be used in 'await' expression" up to 3.13, and from 3.14 on
"'int' object can't be awaited"."""


def failure(cpu: int, problem: BaseException, before: tuple[Place, ...]) -> Answer:
    """The answer of a task that ended in an exception; `before` is where it stood."""
    where = _raised_at(problem) or before
    try:
        text = " ".join(str(problem).split())
    except Exception:  # its author's __str__ may raise as well
        text = "(no text)"
    refused = re.match(NOT_AWAITABLE, text) if isinstance(problem, TypeError) else None
    if refused:
        kind = refused[1]
        advice = _how_to_await(kind)
        return Answer.mistake(where, f"cpu{cpu}: awaited {_an(kind)}{inside(where)}: {advice}.")
    said = f": {text}" if text else ""
    told = advice_on(problem, text)
    place = inside_own(where)
    answer = Answer.failed(
        where, f"cpu{cpu}: {type(problem).__name__}{place}{said}{f'. {told}' if told else ''}"
    )
    return replace(answer, value=Threw.of(problem))


def _raised_at(problem: BaseException) -> tuple[Place, ...]:
    """The lines of an exception's traceback, without those of the machinery."""
    places: list[Place] = []
    trace = problem.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        shown = SHOWN_AS.get(code)
        line = Place(code.co_name, code.co_filename, trace.tb_lineno)
        places.extend((line,) if shown is None else shown(trace.tb_frame))
        trace = trace.tb_next
    return tuple(place for place in places if not place.file.startswith(MACHINERY))


def _how_to_await(kind: str) -> str:
    if "generator" in kind:
        return "it contains a `yield`; kernel functions are `async def` without `yield`"
    if kind in ("method", "function", "builtin_function_or_method", "type"):
        return "write `(...)` behind its name, so that it is called"
    return "await kernel functions, cells and steps only"


def what_it_did(answer: Answer) -> str:
    """What a task did next, for a sentence."""
    if isinstance(answer.step, Call):
        return f"it called {answer.step.args[0]}"
    if answer.step is not None:
        return repr(answer.step)
    return "it was stopped" if answer.ended == "mistake" else f"it {answer.ended}"


def kind_of(value: Any) -> str:
    """`an int`, `a list`: a value's type, for a sentence."""
    return _an(type(value).__name__)


def _an(kind: str) -> str:
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"


def spoken(where: tuple[Place, ...], function: bool = True) -> str:
    """The innermost place outside of the standard library: `fork (your cell, line 7)`."""
    place = next(
        (place for place in reversed(where) if not place.file.startswith(STANDARD_LIBRARY)),
        where[-1],
    )
    return f"{place.function} ({place.spot})" if function else place.spot


def inside(where: tuple[Place, ...]) -> str:
    """` in fork (your cell, line 7)`; nothing where no place is known."""
    return f" in {spoken(where)}" if where else ""


def inside_own(where: tuple[Place, ...]) -> str:
    """As `inside`.

    If one of our functions was running, this also names the learner's line that called it.
    """
    own = tuple(place for place in where if not place.file.startswith(f"{PACKAGE}{os.sep}"))
    caller = f", called from {spoken(own[-1:])}" if own and own[-1] != where[-1] else ""
    return inside(where) + caller


def up_to_the_first_difference(
    here: tuple[Place, ...], there: tuple[Place, ...]
) -> tuple[tuple[Place, ...], tuple[Place, ...]]:
    """Two await chains, cut behind the first function in which they differ.

    That function went another way. The functions that it called then are not to blame.
    """
    for level, (one, other) in enumerate(zip(here, there, strict=False), 1):
        if one != other:
            return here[:level], there[:level]
    return here, there
