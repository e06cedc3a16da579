"""Runs many programs at a time, on several processor cores, until a mismatch or Ctrl-C.

Every worker is a process with a nursery of real processes of its own. Chance decides which worker
runs which programs, but not what is found: of several mismatches, the one of the program with the
lowest number is kept.
"""

from __future__ import annotations

import multiprocessing
import shlex
import signal
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from multiprocessing.util import Finalize
from typing import Any

from mmlocks.conformance.diff import Order, Outcome, Progress, run_some, start_of
from mmlocks.conformance.generate import numbered
from mmlocks.conformance.nursery import Nursery
from mmlocks.conformance.rules import release_of, running_version, spelled
from mmlocks.errors import HostError

TOGETHER = 4
"""Programs that a worker gets at once: a tenth of a second's work, so that it can stop soon."""
PATIENCE = 120.0
"""Seconds without a finished program after which the workers are given up.

A real process that hangs is noticed earlier.
"""


def diff(order: Order, progress: Progress) -> Outcome:
    """Run an order's programs on `jobs` workers.

    Of several mismatches, keep that of the lowest number.

    Raises HostError if this computer does not allow it, or if a worker or a real process dies.
    """
    kernel = spelled(running_version())
    with Nursery() as nursery:
        start_of(nursery)  # if this computer cannot do it, this says so, and only once
    outcome, began = Outcome(), time.monotonic()
    with _Workers(order, kernel) as workers:
        try:
            for part in workers.parts():
                if part is not None:
                    outcome.add(_check(part, order))
                outcome.seconds = time.monotonic() - began
                if not progress(outcome.programs, outcome.operations, outcome.seconds):
                    outcome.interrupted = True
                    break
        except KeyboardInterrupt:
            outcome.interrupted = True
    outcome.seconds = time.monotonic() - began
    return outcome


def _check(part: Outcome, order: Order) -> Outcome:
    if part.trouble:
        raise HostError(
            f"program {part.number} of seed {order.seed} could not be run to its end: "
            f"{part.trouble} To run it again: {_again(order, part.number or 0, 1)}"
        )
    return part


def _again(order: Order, first: int, sequences: int) -> str:
    ops = (
        f" --ops {order.operations}"
        if order.operations != Order._field_defaults["operations"]
        else ""
    )
    return (
        f"mmlocks host diff --seed {shlex.quote(order.seed)} --first {first} --sequences "
        f"{sequences}{ops}"
    )


class _Workers:
    """The pool of workers, and which programs are under way."""

    def __init__(self, order: Order, kernel: str) -> None:
        self._order = order
        self._kernel = kernel
        self._next, self._end = order.first, order.first + order.sequences
        self._under_way: dict[Future[Outcome], int] = {}
        self._heard = time.monotonic()
        self._others = set(multiprocessing.active_children())

    def __enter__(self) -> _Workers:
        # Not forked: in a worker that is forked from a process with threads, locks may be held for
        # ever.
        self._pool = ProcessPoolExecutor(self._order.jobs, multiprocessing.get_context("spawn"))
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        for worker in self._children():
            worker.join(2)
            if worker.is_alive():
                worker.kill()
                worker.join()

    def parts(self) -> Iterator[Outcome | None]:
        """The findings on each few programs, as they come; None while there are none."""
        self._give()
        while self._under_way:
            done, _ = wait(self._under_way, timeout=0.1, return_when=FIRST_COMPLETED)
            if not done:
                self._still_there()
                yield None
            for future in done:
                first = self._under_way.pop(future, None)
                if first is None:  # forgotten, since another one in `done` showed a mismatch
                    continue
                self._heard = time.monotonic()
                part = self._result(future, first)
                if part.mismatch is not None:
                    # Programs with lower numbers are done or under way, and may show one, too. The
                    # others do not matter any more.
                    self._end = min(self._end, part.number or 0)
                    self._forget()
                yield part
            self._give()

    def _give(self) -> None:
        """Keep all workers busy; the programs of the lowest numbers come first."""
        while self._next < self._end and len(self._under_way) < 3 * self._order.jobs:
            many = min(TOGETHER, self._end - self._next)
            with _without_interrupts():
                try:
                    future = self._pool.submit(_work, self._order, self._next, many, self._kernel)
                except BrokenProcessPool:
                    raise self._died(self._next) from None
            self._under_way[future] = self._next
            self._next += many

    def _forget(self) -> None:
        for future in [future for future, first in self._under_way.items() if first > self._end]:
            future.cancel()
            del self._under_way[future]

    def _result(self, future: Future[Outcome], first: int) -> Outcome:
        try:
            return future.result()
        except BrokenProcessPool:
            raise self._died(first) from None

    def _died(self, first: int) -> HostError:
        lowest = min([first, *self._under_way.values()])
        many = max([first, *self._under_way.values()]) + TOGETHER - lowest
        return HostError(
            f"a worker died while programs {lowest} to {lowest + many - 1} of seed "
            f"{self._order.seed} were run; see whether memory ran out (dmesg). To run them one at "
            f"a time: {_again(self._order, lowest, many)} --jobs 1"
        )

    def _still_there(self) -> None:
        if time.monotonic() - self._heard > PATIENCE:
            lowest = min(self._under_way.values())
            for worker in self._children():
                worker.kill()
            raise HostError(
                f"nothing has come from the workers for {PATIENCE:.0f} s; they were stopped. The "
                f"lowest program under way was {lowest} of seed {self._order.seed}. To run it "
                f"again: {_again(self._order, lowest, TOGETHER)} --jobs 1"
            )

    def _children(self) -> list[Any]:
        return [child for child in multiprocessing.active_children() if child not in self._others]


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Processes that are started here do not see Ctrl-C, which a terminal sends to all of them.

    This process tells them to stop.
    """
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)


@cache
def _own_nursery() -> Nursery:
    """A worker's nursery."""
    nursery = Nursery()
    # atexit functions do not run at a worker's end. Real processes would end by themselves, but a
    # process must wait for them, or zombies stay where init does not collect them.
    Finalize(None, nursery.close, exitpriority=1)
    return nursery


def _work(order: Order, first: int, many: int, kernel: str) -> Outcome:
    """Run some programs, in a worker."""
    programs = ((n, numbered(order.seed, n, order.operations)) for n in range(first, first + many))
    return run_some(programs, _own_nursery(), release_of(kernel))
