"""Why did this run go wrong?

Which of its steps matter, when it was too late, and how it could have ended well.
"""

from __future__ import annotations

from dataclasses import dataclass

from mmlocks.errors import ModelError
from mmlocks.explain.slicing import Order, Slice, slice_of, turned_around
from mmlocks.explain.twin import Twin, twin
from mmlocks.explain.unavoidable import NoReturn, no_return
from mmlocks.machine.machine import Violation
from mmlocks.machine.run import Run
from mmlocks.search.endless import never_ending
from mmlocks.search.verdict import STOPPED, Budget, Meter, Progress


@dataclass(frozen=True)
class Explanation:
    """All there is to say of a run that goes wrong.

    `violation` is what is wrong. `slice` says which steps matter, and `no_return` since when
    nothing could be saved. `twin` is the closest execution that ends well: None if none does, or if
    none was found within the budget. `turned` are the orders that matter and that the twin turns
    around.
    """

    run: Run
    violation: Violation
    no_return: NoReturn
    twin: Twin | None
    slice: Slice
    turned: tuple[Order, ...]
    states: int
    seconds: float

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why parts of the explanation are missing or may be improved on; empty if it is whole."""
        said = (
            self.no_return.reason,
            self.twin.reason if self.twin is not None else "",
            self.slice.reason,
        )
        return tuple(dict.fromkeys(reason for reason in said if reason))


def explain(
    run: Run, budget: Budget | None = None, progress: Progress | None = None
) -> Explanation:
    """Explain a run that breaks a rule, or that can never end.

    All searches use no reduction, and share one budget. Raises ModelError if nothing is wrong with
    the run, or if the machine cannot see in this run what is wrong.
    """
    meter = Meter(budget or Budget(), progress)
    violation = run.violation or _never_ends(run, meter)
    if (
        run.taken
        and run.taken[-1].violation is not None
        and run.machine.step(run.state, run.cpus[-1]) != run.taken[-1]
    ):
        raise ModelError(
            f"{violation.oracle} is a rule about all runs together. This one does not break it, "
            "and so nothing in it explains why."
        )
    back = no_return(run, meter)
    good = (
        twin(run, back.step - 1, back.way_out, meter)
        if back.step and back.way_out is not None
        else None
    )
    found = slice_of(run, meter)
    turned = turned_around(run, found.orders or (), good.run) if good is not None else ()
    return Explanation(
        run, violation, back, good, found, turned, back.states + found.states, meter.seconds
    )


def _never_ends(run: Run, meter: Meter) -> Violation:
    """What is wrong with a run that has broken no rule so far."""
    try:
        endless = never_ending(run.machine, [run.state], meter)
    except STOPPED:
        endless = None
    if endless is None:
        raise ModelError(
            "this run breaks no rule, so there is nothing to explain. Take one that does."
        )
    return endless[1]
