"""Running everything again as it would really run: in one piece, and on all CPUs in turn.

A search never runs a foreign function as a whole. It asks for one step at a time, and knows each
call by its arguments. Some code keeps a note in one call and reads it in another call, or on
another CPU. The search then sees what the note said at that time.

So the code runs again: every history of every task, with the calls inside of it as they come. The
tasks of several CPUs take one step each, in a random order. What each call does must be what it was
seen to do. That finds a note if it makes a difference in one of these runs. It proves nothing: a
note that is read at the hundred-thousandth call is not found.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator, Iterator, Sequence
from random import Random
from typing import Any

from mmlocks.machine.apart import PASSING
from mmlocks.machine.coroutine import CoroutineSupplier
from mmlocks.machine.foreign import Foreign
from mmlocks.machine.values import Step

ROUNDS = 2
"""How often every history is run at least, each time in another order."""
STEPS = 2_000
"""Steps that are taken at least: a short task then meets a long one at many of its moments."""
MOST = 30_000
"""Steps after which no more are taken."""


def run_anew(tasks: Sequence[CoroutineSupplier], foreign: Sequence[Foreign]) -> None:
    """Run the tasks with the CPUs' foreign functions, as described above.

    Raises NondeterminismError if a foreign function does something else than it was seen to do.
    """
    if sum(each.calls for each in foreign) < 2:
        return  # with one call, there is no other that it could leave a note for
    chooses = Random(0)
    runs = [_Runs(tasks[cpu], chooses) for cpu, each in enumerate(foreign) if each.calls]
    for each in foreign:
        each.anew = True
    try:
        for taken in range(MOST):
            if taken >= STEPS and all(run.rounds >= ROUNDS for run in runs):
                break
            next(chooses.choice(runs).steps)
    finally:
        for run in runs:
            run.steps.close()
        for each in foreign:
            each.anew = False


class _Runs:
    """All histories of a task, one after the other, a step at a time, again and again."""

    def __init__(self, task: CoroutineSupplier, chooses: Random) -> None:
        self.rounds = 0
        self.steps = self._run(task, chooses)

    def _run(self, task: CoroutineSupplier, chooses: Random) -> Generator[None, None, None]:
        while True:
            ways = list(task.ways(chooses))
            chooses.shuffle(ways)
            for way in ways:
                yield  # so that this never ends without a step
                code = task.anew()
                try:
                    yield from _fed(code, way)
                finally:
                    code.close()
            self.rounds += 1


def _fed(code: Coroutine[Step, Any, Any], way: Sequence[Any]) -> Iterator[None]:
    try:
        for result in (None, *way):
            code.send(result)
            yield
    except PASSING:
        raise
    except BaseException:  # it has come to an end, as it did before
        return
