"""A call of a foreign function, as the kernel sees it.

The kernel calls a stand-in, which goes from stop to stop of the automaton of that call (see
`mmlocks.machine.foreign`). What the function asks for at a stop is carried out here, by the
kernel's own text. Its result says which stop comes next.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

from mmlocks.machine.loops import passed
from mmlocks.machine.moment import SHOWN_AS
from mmlocks.machine.state import Outlasting
from mmlocks.machine.task import Answer, Ended, Place
from mmlocks.machine.values import Call, Step
from mmlocks.machine.wire import Threw


class Stop(Outlasting):
    """A moment of a call of a foreign function: what it asks for, and what follows each result.

    See `mmlocks.machine.foreign`.

    `sent` is the history of results as the function was told them: with handles of its own side.
    """

    def __init__(
        self, visit: Any, answer: Answer, history: tuple[Any, ...], sent: tuple[Any, ...]
    ) -> None:
        self.visit = visit
        self.answer = answer
        self.history = history
        self.sent = sent
        self.after: dict[Any, Stop] = {}
        """By the `exact` key of the result; `results` are the same in the same order."""
        self.results: list[Any] = []


async def crossing(stop: Stop) -> Any:
    """A call of a foreign function, as the kernel sees it.

    What the function asks for is carried out here, and the function is told the result. If it goes
    round and round in calls that take no step, that is found here.
    """
    while stop.answer.step is not None:
        passed(stop.answer.where[-1] if stop.answer.where else (stop.visit.name, "", 0))
        stop = stop.visit.after(stop, await carried_out_here(stop))
    return ending(stop)


async def crossing_anew(visit: Any) -> Any:
    """The same, but the foreign code itself runs, instead of what is known of it."""
    with closing(visit.once_more()) as run:
        stop = next(run)
        while stop.answer.step is not None:
            stop = run.send(await carried_out_here(stop))
    return ending(stop)


def ending(stop: Stop) -> Any:
    """What a call of a foreign function has come to."""
    if stop.answer.ended == "returned":
        return stop.answer.value
    if isinstance(stop.answer.value, Threw):
        raise stop.answer.value.again()
    raise Ended(stop.answer)


async def carried_out_here(stop: Stop) -> Any:
    """The result of what a foreign function asks for: of a step, or of a kernel function."""
    step = stop.answer.step
    assert step is not None
    if not isinstance(step, Call):
        return await one_by_one(step)
    name, *args = step.args
    kernel = stop.visit.foreign.kernel
    assert kernel is not None, "a foreign function is called before it was linked"
    try:
        return await kernel(name, stop.visit.name)(*args)
    except Exception as problem:
        thrown = Threw.of(problem)
        if thrown is None:
            raise
        return thrown


async def one_by_one(step: Step) -> Any:
    """A step of foreign code, where `together` means one part after another.

    Only our own text may say that no code can tell the parts apart.
    """
    if step.op != "together":
        return await step
    results: tuple[Any, ...] = ()
    for part in step.args:
        results = (*results, await one_by_one(part))
    return results


def nothing(frame: Any) -> tuple[Place, ...]:
    return ()


def _there(frame: Any) -> tuple[Place, ...]:
    """Where the foreign function stands, in place of the machinery that waits for it."""
    stop: Stop = frame.f_locals["stop"]
    return stop.answer.where


SHOWN_AS[crossing.__code__] = SHOWN_AS[crossing_anew.__code__] = _there
SHOWN_AS[carried_out_here.__code__] = nothing
SHOWN_AS[one_by_one.__code__] = nothing
