"""The strategies by name, as people type them: `reduced`, `preemptions:2`, `pct:3:1000`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from mmlocks.errors import ModelError
from mmlocks.search.bounded import Bounded
from mmlocks.search.dpor import Dpor
from mmlocks.search.exhaustive import Exhaustive
from mmlocks.search.pct import Pct
from mmlocks.search.verdict import Strategy
from mmlocks.search.walk import RandomWalk

DIGITS = 9
"""Digits of the longest number that may be typed: a thousand million executions take days."""


class Kind(NamedTuple):
    """A strategy that can be asked for.

    `numbers` may follow its name, each after a colon. `make` is called with those that were given,
    in that order, and with `seed=` if the strategy is `random` and a seed was given.
    """

    make: Callable[..., Strategy]
    numbers: tuple[str, ...] = ()
    random: bool = False

    def form(self, name: str) -> str:
        """How it is written, e.g. `pct[:DEPTH[:EXECUTIONS]]`."""
        return name + "".join(f"[:{number}" for number in self.numbers) + "]" * len(self.numbers)


STRATEGIES = {
    "reduced": Kind(lambda: Exhaustive(reduced=True)),
    "full": Kind(lambda: Exhaustive(reduced=False)),
    "dpor": Kind(Dpor, ("STEPS",)),
    "preemptions": Kind(Bounded, ("PREEMPTIONS",)),
    "random": Kind(RandomWalk, ("EXECUTIONS",), random=True),
    "pct": Kind(Pct, ("DEPTH", "EXECUTIONS"), random=True),
}
"""Every strategy; the first is the usual one."""


def kind_named(name: str) -> Kind:
    """The kind of strategy of that name. Raises ModelError if there is none."""
    if name not in STRATEGIES:
        raise ModelError(
            f"there is no strategy called {name!r}. Known strategies: {', '.join(STRATEGIES)}."
        )
    return STRATEGIES[name]


def strategy_named(text: str, seed: int | None = None) -> Strategy:
    """The strategy that a text names, e.g. `pct:3`; `seed` is for those that choose at random.

    For any other text it raises ModelError, with a sentence on what to write instead.
    """
    name, *numbers = text.split(":")
    kind = kind_named(name)
    if len(numbers) > len(kind.numbers):
        raise ModelError(f"{text!r} says too much. Write {kind.form(name)}.")
    for what, number in zip(kind.numbers, numbers, strict=False):
        if not re.fullmatch(f"-?[0-9]{{1,{DIGITS}}}", number):
            raise ModelError(
                f"{text!r}: {what} is a whole number of up to {DIGITS} digits, not {number!r}. "
                f"Write {kind.form(name)}."
            )
    if seed is not None and not kind.random:
        chancy = " and ".join(name for name, kind in STRATEGIES.items() if kind.random)
        raise ModelError(
            f"a seed changes nothing in {text!r}: only {chancy} choose at random. "
            "Leave it out, or ask for one of them."
        )
    try:
        return kind.make(*map(int, numbers), **({} if seed is None else {"seed": seed}))
    except ModelError as problem:
        raise ModelError(f"{text!r}: {problem}") from None
