"""What the core's tests share: a whole search of a program, put into words that two machines can be compared by."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any, NamedTuple

from mmlocks.machine import Layout, Machine, Violation
from mmlocks.search import Budget
from mmlocks.search.exhaustive import explore
from mmlocks.search.reduction import Reduction
from mmlocks.search.verdict import Meter

Build = Callable[[], Machine]


def calls(act: Callable[[], object]) -> int:
    """How many functions `act` calls, also those in C: a cost that a busy computer does not change."""
    count = 0

    def note(_frame: object, event: str, _of: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(before)
    return count


class Outcome(NamedTuple):
    """What must not depend on how a program is searched.

    Which step breaks a rule first does depend on it, so of broken rules only their being broken counts. Deadlocks are final
    states, and reduction keeps them all.
    """

    endings: frozenset[tuple[tuple[str, Any], ...]]
    deadlocks: frozenset[str]
    violated: bool


def outcome(
    machine: Machine, reduced: bool = True, reduction: type[Reduction] = Reduction
) -> Outcome:
    """Search `machine` to the end, past its violations. Endings are decoded: machines number values as they meet them."""
    own = reduction(machine) if reduced else None
    found = explore(
        machine, Meter(Budget(5_000_000, 300.0)), reduced=reduced, stop=False, reduction=own
    )
    assert not found.reason, found.reason
    return Outcome(
        frozenset(decoded(machine, end) for end in found.endings),
        deadlocks(found.violations),
        bool(found.violations),
    )


def deadlocks(violations: Iterable[Violation]) -> frozenset[str]:
    """Those in which no CPU can run: final states. A CPU that waits for itself breaks a rule in its own step, and others go on."""
    return frozenset(
        each.message
        for each in violations
        if each.oracle == "deadlock" and each.message.startswith("deadlock")
    )


def decoded(machine: Machine, state: int) -> tuple[tuple[str, Any], ...]:
    """A state as the same state of another machine is written, too."""
    return tuple((name, _typed(value)) for name, value in machine.layout.values(state))


def _typed(value: Any) -> Any:
    """True and 1 are equal in Python, and two values to a program. Handles of two machines are equal if their names are."""
    return f"{type(value).__name__} {value!r}"


def reduction_loses_nothing(build: Build, reduction: type[Reduction] = Reduction) -> bool:
    """The comparison that keeps the search honest: every ending, with and without reduction."""
    return outcome(build(), reduced=True, reduction=reduction) == outcome(build(), reduced=False)


def each(
    task: Callable[[int], Coroutine[Any, Any, None]], cpus: int
) -> list[tuple[str, Callable[[], Any]]]:
    """The same task on every CPU; it is told its number."""
    return [(task.__name__, partial(task, cpu)) for cpu in range(cpus)]


def tasks_on_cells(*tasks: Callable[..., Any], initial: Any = 0, cells: str = "a b c out") -> Build:
    """A program whose tasks, one per CPU, are called with a few cells."""

    def build() -> Machine:
        layout = Layout(cpus=len(tasks))
        shared = [layout.cell(name, initial) for name in cells.split()]
        return Machine(layout, [(task.__name__, _starting(task, shared)) for task in tasks])

    return build


def _starting(task: Callable[..., Any], shared: list[Any]) -> Callable[[], Any]:
    return lambda: task(*shared)


def final_values(build: Build, name: str, reduced: bool = False) -> set[str]:
    """The values, as printed, that a cell can have in the end."""
    ends = outcome(build(), reduced).endings
    return {dict(end)[name].partition(" ")[2] for end in ends}
