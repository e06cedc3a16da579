"""The common part of `mmlocks host diff` and `record`: which programs run, and the progress."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import click

from mmlocks.cli.options import Taking, Whole
from mmlocks.cli.terminal import Meter
from mmlocks.errors import MmlocksError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mmlocks.conformance.diff import Order

ENDINGS = (
    "Exit status: 0 no mismatch; 1 a mismatch; 2 bad usage, a file that cannot be read, or a "
    "computer that does not allow it; 130 interrupted."
)
USUAL_OPS = 40

ops = click.option(
    "--ops",
    type=Whole(1, 1000),
    metavar="K",
    default=USUAL_OPS,
    show_default=True,
    help="Operations in each program.",
)
seed = click.option(
    "--seed",
    metavar="S",
    help="Choose the programs. The same seed gives the same programs.",
    show_default="a fresh one",
)
first = click.option(
    "--first",
    type=Whole(0),
    metavar="N",
    default=0,
    show_default=True,
    help="Number of the first program.",
)


def sequences(usual: int) -> Callable[[Taking], Taking]:
    """`--sequences` with its default. A recording usually has fewer programs."""
    return click.option(
        "--sequences",
        type=Whole(1),
        metavar="N",
        default=usual,
        show_default=True,
        help="How many random programs.",
    )


class Count(Meter):
    """The progress of a comparison."""

    def __init__(self, programs: int) -> None:
        super().__init__("")
        self.programs = programs

    def __call__(self, done: int, operations: int, seconds: float) -> bool:
        """Show the progress. A comparison calls this several times a second; False ends it."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + 0.1
            bar = "#" * (20 * done // self.programs)
            left = f", {seconds / done * (self.programs - done):.0f} s left" if done else ""
            self._show(
                f"[{bar:<20}] {done:,} of {self.programs:,} programs, "
                f"{operations:,} operations, {seconds:.0f} s{left}"
            )
        return not self.interrupted


def order_of(seed: str | None, sequences: int, operations: int, first: int, jobs: int) -> Order:
    from mmlocks.conformance.diff import Order

    if seed is not None and (not seed.strip() or len(seed) > 100 or not seed.isprintable()):
        raise MmlocksError(
            "--seed takes a number or a word of at most 100 characters. "
            "Leave it out for a fresh one."
        )
    return Order(seed or os.urandom(4).hex(), sequences, operations, first, min(jobs, sequences))
