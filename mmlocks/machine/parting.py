"""Where two runs of the same code part, though both were told the same results.

It helps a learner to find what makes a task nondeterministic. `mmlocks.machine.coroutine` notices
that a step came out different. The cause lies earlier, often in a variable. So the code runs twice
more, side by side, and the first plain local variable that differs is named.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple

from mmlocks.machine.loops import EndlessLoop, Limited
from mmlocks.machine.moment import Unfreezable, chain
from mmlocks.machine.task import Ended, Place
from mmlocks.machine.values import Step, exact

PLAIN = (bool, int, float, str, type(None))
"""Kinds of values that a sentence can show. Values of other kinds may differ without harm."""


class Difference(NamedTuple):
    """A local variable that differs, where the code stood then, and both values."""

    place: Place
    name: str
    one: str
    other: str


def first_difference(
    start: Callable[[], Coroutine[Step, Any, Any]], results: Sequence[Any]
) -> Difference | None:
    """The first variable that differs between two runs with these results; None if none is seen."""
    with (
        warnings.catch_warnings(),
        ExitStack() as closing,
        suppress(Exception, EndlessLoop, Ended),
        Limited(),
    ):
        warnings.simplefilter("ignore")
        both = [start(), start()]
        for coroutine in both:
            closing.callback(_close, coroutine)
        for result in (None, *results):
            steps = [coroutine.send(result) for coroutine in both]
            for (place, name, one), (there, same, other) in zip(*map(_locals, both), strict=False):
                if (place.function, place.file, name) != (there.function, there.file, same):
                    break
                if exact(one) != exact(other):
                    return Difference(place, name, _shown(one), _shown(other))
            if steps[0] != steps[1]:
                break
    return None


def _locals(coroutine: Any) -> list[tuple[Place, str, Any]]:
    """The plain local variables along the await chain, outermost first; others count as None."""
    found: list[tuple[Place, str, Any]] = []
    with suppress(Unfreezable):
        for link in chain(coroutine):
            place = Place.of(link.frame)
            for name, value in link.frame.f_locals.items():
                found.append((place, name, value if type(value) in PLAIN else None))
    return found


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 30 else f"{text[:29]}…"


def _close(coroutine: Any) -> None:
    # A task that awaits in `finally` cannot be closed; it is dropped instead.
    with suppress(RuntimeError):
        coroutine.close()
