"""What to do about an exception that a task's code has raised: a sentence to follow Python's own.

All of this runs while the code is limited (see `mmlocks.machine.loops`), so it does little.
"""

from __future__ import annotations

import re
import types

from mmlocks.machine.state import Outlasting

SLIPS = (
    ("'async_generator' object is not iterable", "It awaits and yields: write `async for`"),
    ("'coroutine' object is not iterable", "Write `await` in front of the call"),
    (
        "does not support the context manager protocol",
        "If it is meant for `async with`, write that",
    ),
    ("'(Cell|Counter)'", "A field was used in place of its value: write `await` in front of it"),
    (
        "'(Step|Call|coroutine)'",
        "A call was used in place of its result: write `await` in front of it",
    ),
    ("cannot reuse already awaited coroutine", "Call the function again for each `await`"),
    (
        "no running event loop",
        "asyncio does not run here: await kernel functions, cells and steps only",
    ),
)
"""What Python says where an `await` or an `async` is missing or wrong, and what to do about it."""


def advice_on(problem: BaseException, text: str) -> str:
    """A sentence for an exception with this text; nothing where Python has said enough."""
    if isinstance(problem, TypeError | RuntimeError):
        return next((told for like, told in SLIPS if re.search(like, text)), "")
    if isinstance(problem, NameError | AttributeError) and isinstance(problem.name, str):
        meant = nearest(problem.name, _names_near(problem))
        return f"Is {meant} meant?" if meant else ""
    return ""


def nearest(name: str, names: list[str]) -> str:
    """The one of `names` that `name` may have been meant to be; "" if there is none.

    It has the same words in another order, or a few other letters, or one word more.
    """
    words = sorted(name.split("_"))
    ordered = [other for other in names if sorted(other.split("_")) == words]
    if ordered:
        return ordered[0]
    few = 1 + len(name) // 5
    alike = [
        (_changes(name, other), other) for other in names if abs(len(other) - len(name)) <= few
    ]
    if alike and min(alike)[0] <= few:
        return min(alike)[1]
    return min(
        (other for other in names if set(words) < set(other.split("_"))), key=len, default=""
    )


def _changes(one: str, other: str) -> int:
    """How many letters are to be put in, left out or replaced to make one name of the other."""
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, 1):
        before, row[0] = row[0], number
        for place, there in enumerate(other, 1):
            before, row[place] = (
                row[place],
                min(row[place] + 1, row[place - 1] + 1, before + (letter != there)),
            )
    return row[-1]


def _names_near(problem: NameError | AttributeError) -> list[str]:
    """The names that there are where one was looked for.

    Nothing of foreign code is run to learn them.
    """
    if isinstance(problem, AttributeError):
        own = vars(problem.obj) if isinstance(problem.obj, Outlasting | types.ModuleType) else {}
        return [*own, *(name for kind in type(problem.obj).__mro__ for name in vars(kind))]
    trace = problem.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return [*trace.tb_frame.f_locals, *trace.tb_frame.f_globals] if trace is not None else []
