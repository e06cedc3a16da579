"""What a search found, how far it got, and how far it was allowed to go."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mmlocks.errors import ScenarioTooSmall, Undecided
from mmlocks.machine.machine import Machine, Violation
from mmlocks.sentences import counted

TOO_SMALL = "too small for this program"
"""Part of the reason of a search whose program asked for more than its scenario has."""

Progress = Callable[[int, int, float], bool]
"""Called with (states, transitions, seconds) several times a second; False cancels the search."""


@dataclass(frozen=True)
class Budget:
    """How much a search may use.

    `states` are distinct states, `seconds` wall time, `megabytes` the growth of this process. Where
    the system does not say how much memory a process has (WebAssembly), that one does not count.
    """

    states: int = 2_000_000
    seconds: float = 60.0
    megabytes: float = 1_500.0


@dataclass
class Exploration:
    """What a strategy saw of a program's executions.

    `endings` are the final states (all tasks returned), without the tasks' positions. `violation`
    is the first one found; `schedule` leads to it where the search knows its way. `executions`
    counts whole executions, for strategies that follow one after another. `reason` says why the
    search stopped early. `left_out` says what it never meant to look at. Both are empty after an
    exhaustive search.
    """

    searched: str
    """What a complete search has looked at, e.g. `all interleavings searched`."""
    left_out: str = ""
    states: int = 0
    transitions: int = 0
    executions: int = 0
    seen: Collection[int] = ()
    endings: set[int] = field(default_factory=set)
    violation: Violation | None = None
    violations: set[Violation] = field(default_factory=set)
    schedule: tuple[int, ...] | None = None
    reason: str = ""
    stop: bool = False
    """Whether the search ends at the first violation."""

    @property
    def outcome(self) -> str:
        """`violated`, `safe`, or `unproved` (it stopped early, or something was left out)."""
        if self.violation is not None:
            return "violated"
        return "unproved" if self.reason or self.left_out else "safe"

    def report(self, violation: Violation, schedule: tuple[int, ...] | None = None) -> None:
        """Note that a rule was broken. The first violation is the one that is shown.

        Raises FirstViolation if the search ends there.
        """
        self.violations.add(violation)
        if self.violation is None:
            self.violation, self.schedule = violation, schedule
        if self.stop:
            raise FirstViolation

    def end(self, machine: Machine, state: int) -> Violation | None:
        """Note that no CPU can run any more in `state`, and say what is wrong with it."""
        if machine.finished(state):
            self.endings.add(state & ~machine.layout.pc_mask)
        return machine.ends_badly(state)


class Strategy(Protocol):
    """A way to choose which executions are looked at."""

    def explore(self, machine: Machine, meter: Meter, stop: bool = True) -> Exploration:
        """Search `machine` until the first violation (`stop`), or past all of them to the end.

        Ends early, with a `reason`, when the meter's budget is used up or the user cancels. Raises
        NondeterminismError if a task's code turns out not to be deterministic.
        """


@dataclass(frozen=True)
class Verdict:
    """The answer to "can this program go wrong?".

    `outcome` is "safe" (all interleavings searched, no violation), "violated", or "unproved". It is
    unproved when the search stopped early (`reason` says why), or when the strategy looks at some
    executions only (`left_out` says which ones it does not look at). `schedule` lists the CPUs of
    the shortest bad execution. `minimal` says whether that was proved to have the fewest
    preemptions, and among those the fewest steps.
    """

    outcome: str
    states: int
    transitions: int
    seconds: float
    searched: str = ""
    left_out: str = ""
    executions: int = 0
    violation: Violation | None = None
    schedule: tuple[int, ...] | None = None
    minimal: bool = False
    reason: str = ""
    endings: int = 0

    @property
    def too_small(self) -> bool:
        """Whether the search ended because the program asked for more than its scenario has."""
        return TOO_SMALL in self.reason

    @property
    def coverage(self) -> str:
        """One sentence on what was searched, and on what was not."""
        states, executions = counted(self.states, "state"), counted(self.executions, "execution")
        if self.outcome == "violated":
            return f"violation found after {executions if self.executions else states}"
        seen, steps = (
            (states, counted(self.transitions, "transition"))
            if self.states
            else (executions, counted(self.transitions, "step"))
        )
        if self.reason:
            return f"stopped early ({self.reason}): {seen} seen, the rest is unknown"
        return f"{self.searched}: {seen}, {steps}" + (
            f"; not searched: {self.left_out}" if self.left_out else ""
        )

    def __repr__(self) -> str:
        rule = f" ({self.violation.oracle})" if self.violation is not None else ""
        return f"{self.outcome.upper()}{rule}: {self.coverage}."


class FirstViolation(Exception):
    """The first violation has been found, and the search was to end there."""


class Cancelled(Exception):
    """The search was told to stop."""


STOPPED = (Cancelled, KeyboardInterrupt, MemoryError, ScenarioTooSmall, Undecided)
"""What ends a search early, whatever it was looking for."""


def why(stopped: BaseException) -> str:
    """The reason that a verdict gives for a search that one of `STOPPED` ended."""
    if isinstance(stopped, MemoryError):
        return "out of memory"
    if isinstance(stopped, ScenarioTooSmall):
        return f"the scenario is {TOO_SMALL}: {stopped}"
    return str(stopped) or "interrupted"


STATM = Path("/proc/self/statm")
PAGE_MEGABYTES = (os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096) / 1e6


def megabytes_in_use() -> float:
    """Memory of this process: now (Linux), at its highest (other Unix), or 0 (unknown)."""
    try:
        return int(STATM.read_text().split()[1]) * PAGE_MEGABYTES
    except (OSError, IndexError, ValueError):
        pass
    try:
        import resource
    except ImportError:
        return 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1e6 if sys.platform == "darwin" else 1e3
    )


@dataclass
class Meter:
    """Counts a search's work, and stops it when the budget is used up or the user cancels."""

    budget: Budget
    progress: Progress | None = None
    transitions: int = 0
    started: float = field(default_factory=time.perf_counter)
    occupied: float = field(default_factory=megabytes_in_use)
    """Megabytes of this process at the start."""
    ticks: int = 0
    """States that `tick` has counted."""

    @property
    def every(self) -> int:
        """States between two looks at the clock: a few milliseconds, within the budget's states."""
        return max(1, min(2048, self.budget.states // 2))

    def tick(self, states: int) -> None:
        """Count one more state as looked at, of so many seen; `check` now and then."""
        self.ticks += 1
        if self.ticks % self.every == 0:
            self.check(states)

    def check(self, states: int) -> None:
        """Raise Cancelled with the reason if the search must stop here."""
        seconds = self.seconds
        if states >= self.budget.states:
            raise Cancelled(f"budget of {self.budget.states:,} states reached")
        if seconds >= self.budget.seconds:
            raise Cancelled(f"budget of {self.budget.seconds:g} seconds reached")
        if megabytes_in_use() - self.occupied >= self.budget.megabytes:
            raise Cancelled(f"budget of {self.budget.megabytes:g} MB reached")
        if self.progress is not None and not self.progress(states, self.transitions, seconds):
            raise Cancelled("cancelled")

    @property
    def seconds(self) -> float:
        """Wall time since the start."""
        return time.perf_counter() - self.started
