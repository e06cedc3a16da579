"""What a search found, how far it got, and how far it was allowed to go."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from mmlocks.machine.machine import Violation

Progress = Callable[[int, int, float], bool]
"""Called with (states, transitions, seconds) several times a second; a false answer cancels the search."""


@dataclass(frozen=True)
class Budget:
    """How much a search may use: distinct states, and seconds of wall time."""

    states: int = 2_000_000
    seconds: float = 60.0


@dataclass(frozen=True)
class Verdict:
    """The answer to "can this program go wrong?".

    `outcome` is "safe" (all interleavings searched, no violation), "violated", or "unproved" (stopped early; `reason` says
    why). `schedule` lists the CPUs of the shortest bad execution. `minimal` says whether it was proved to have the fewest
    preemptions, and among those the fewest steps.
    """

    outcome: str
    states: int
    transitions: int
    seconds: float
    reduced: bool
    violation: Violation | None = None
    schedule: tuple[int, ...] | None = None
    minimal: bool = False
    reason: str = ""
    endings: int = 0

    @property
    def coverage(self) -> str:
        """One sentence on what was searched."""
        how = "one order of each set of steps that commute" if self.reduced else "every order of steps"
        if self.outcome == "safe":
            return f"all interleavings searched ({how}): {self.states:,} states, {self.transitions:,} transitions"
        if self.outcome == "violated":
            return f"violation found after {self.states:,} states"
        return f"stopped early ({self.reason}): {self.states:,} states seen, the rest is unknown"


class Cancelled(Exception):
    """The search was told to stop."""


@dataclass
class Meter:
    """Counts a search's work and stops it when the budget is used up or the user has had enough."""

    budget: Budget
    progress: Progress | None = None
    transitions: int = 0
    started: float = field(default_factory=time.perf_counter)

    @property
    def every(self) -> int:
        """States between two looks at the clock and the budget: a few milliseconds, and no more than the budget allows."""
        return max(1, min(2048, self.budget.states // 2))

    def check(self, states: int) -> None:
        """Raise Cancelled with the reason if the search must stop here."""
        seconds = self.seconds
        if states >= self.budget.states:
            raise Cancelled(f"budget of {self.budget.states:,} states reached")
        if seconds >= self.budget.seconds:
            raise Cancelled(f"budget of {self.budget.seconds:g} seconds reached")
        if self.progress is not None and not self.progress(states, self.transitions, seconds):
            raise Cancelled("cancelled")

    @property
    def seconds(self) -> float:
        """Wall time since the start."""
        return time.perf_counter() - self.started
