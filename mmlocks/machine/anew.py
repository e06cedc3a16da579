"""Running everything once more as it would really run: the code itself, in one piece, on all CPUs in turn.

A search never runs a foreign function in its place. It asks for a step here and a step there, and knows each call by its arguments. Code that
keeps a note in one call and reads it in another, or on another CPU, is then seen to do whatever the note said when it was asked. So the code is run
once more: every history of every task, the calls inside of it as they come, and the tasks of several CPUs one step each, in an order that
nothing can count on. What each call does must be what it was seen to do.

That finds a note if it makes a difference in one of these runs. It is no proof: a note that is read at the hundred-thousandth call is not found.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterator, Sequence
from random import Random
from typing import Any

from mmlocks.machine.coroutine import PASSING, CoroutineSupplier
from mmlocks.machine.foreign import Foreign
from mmlocks.machine.step import Step

ROUNDS = 3
"""How often every history is run, each time in another order."""
STEPS = 30_000
"""Steps after which no new history is begun."""


def run_anew(tasks: Sequence[CoroutineSupplier], foreign: Sequence[Foreign]) -> None:
    """Run the tasks, of which the CPUs' foreign functions are a part.

    Raises NondeterminismError if a foreign function does something else than it was seen to do.
    """
    if sum(each.calls for each in foreign) < 2:
        return  # there is nothing that one call could tell another
    cpus = [cpu for cpu, each in enumerate(foreign) if each.calls]
    for each in foreign:
        each.anew = True
    try:
        for number in range(ROUNDS):
            chooses = Random(number)
            _all_at_once([_runs(tasks[cpu], chooses) for cpu in cpus], chooses)
    finally:
        for each in foreign:
            each.anew = False


def _all_at_once(runs: list[Iterator[None]], chooses: Random) -> None:
    steps = 0
    while runs and steps < STEPS:
        run = chooses.choice(runs)
        steps += 1
        if next(run, run) is run:
            runs.remove(run)
    for run in runs:
        run.close()  # type: ignore[attr-defined]  # a generator


def _runs(task: CoroutineSupplier, chooses: Random) -> Iterator[None]:
    """All histories of a task, one after the other, a step at a time."""
    ways = list(task.ways(chooses))
    chooses.shuffle(ways)
    for way in ways:
        code = task.anew()
        try:
            yield from _fed(code, way)
        finally:
            code.close()


def _fed(code: Coroutine[Step, Any, Any], way: Sequence[Any]) -> Iterator[None]:
    try:
        for result in (None, *way):
            code.send(result)
            yield
    except PASSING:
        raise
    except BaseException:  # it has come to an end, as it did before
        return
