"""Every execution with at most so many preemptions: most bugs show there, at a small cost.

A preemption takes the CPU away from a task that could go on; a task that blocks or ends gives way
by itself. Iterative context bounding (Musuvathi & Qadeer, "Iterative context bounding for
systematic testing of multithreaded programs", PLDI 2007) looks at all executions without a
preemption, then at those with one, and so on. The number of all executions is exponential in the
steps of a program. With a bounded number of preemptions it is polynomial. A task that spins must be
preempted, too, or it goes round for ever.

No reduction here: of steps that commute it may keep the order with more preemptions (Coons,
Musuvathi & McKinley, "Bounded partial-order reduction", OOPSLA 2013).
"""

from __future__ import annotations

from dataclasses import dataclass

from mmlocks.errors import ModelError
from mmlocks.machine.machine import Machine, Violation
from mmlocks.search.verdict import STOPPED, Exploration, FirstViolation, Meter, why
from mmlocks.sentences import counted

Choice = tuple[int, int]
"""A state, and the CPU that takes the next step there."""
Choices = dict[Choice, Choice | None]
"""Each choice with the one before it; None before the first one."""


@dataclass(frozen=True)
class Bounded:
    """Every execution with at most `preemptions` preemptions. Raises ModelError below 0."""

    preemptions: int = 2

    def __post_init__(self) -> None:
        if self.preemptions < 0:
            raise ModelError(
                f"a search cannot be bounded to {self.preemptions} preemptions. "
                "Say 0 or a number above."
            )

    def explore(self, machine: Machine, meter: Meter, stop: bool = True) -> Exploration:
        """See `Strategy`. It is safe only if more preemptions would lead to no new choice."""
        found = Exploration(f"{_executions(self.preemptions)} searched", stop=stop)
        search = _Search(machine, meter, found)
        done = -1
        try:
            search.begin()
            while search.later and done < self.preemptions:
                search.next_round()
                done += 1
            if search.later:
                found.left_out = "executions with more preemptions"
            else:
                most = counted(max(done, 0), "preemption")
                found.searched = (
                    f"all interleavings searched (no state takes more than {most} to reach)"
                )
        except STOPPED as stopped:
            found.reason = why(stopped)
            if done >= 0:
                found.reason += f" after {_executions(done)}"
        except FirstViolation:
            pass
        found.seen, found.states = search.able.keys(), len(search.able)
        found.transitions = meter.transitions
        return found


class _Search:
    def __init__(self, machine: Machine, meter: Meter, found: Exploration) -> None:
        self.machine = machine
        self.meter = meter
        self.found = found
        # For every state seen, the CPUs that can run there. States share these few tuples.
        self.able: dict[int, tuple[int, ...]] = {}
        self.groups: dict[tuple[int, ...], tuple[int, ...]] = {}
        # Every choice made so far. Rounds go from few preemptions to many, so each choice was
        # reached with as few preemptions as possible.
        self.made: Choices = {}
        # The choices that begin the next round: each needs one preemption more than this one has.
        self.later: Choices = {}

    def begin(self) -> None:
        """The first round begins with any CPU, and none is preempted."""
        stillborn = self.machine.stillborn()
        if stillborn is not None:
            self.report(stillborn, None)
            return
        initial = self.machine.initial
        self.later = {(initial, cpu): None for cpu in self.arrive(initial, None)}

    def next_round(self) -> None:
        """Make the choices left for later, and all that follow without another preemption."""
        made = self.made
        made.update(self.later)
        work = list(self.later)
        later = self.later = {}
        while work:
            self.meter.tick(len(self.able))
            choice = work.pop()
            state, cpu = choice
            self.meter.transitions += 1
            after = self.machine.after(state, cpu)
            assert after is not None, "a choice is a CPU that can run"
            if isinstance(after, Violation):
                self.report(after, choice)
                continue
            able = self.able[after] if after in self.able else self.arrive(after, choice)
            for other in able:
                following = (after, other)
                if following in made:
                    continue
                if other == cpu or cpu not in able:
                    made[following] = choice
                    work.append(following)
                    later.pop(following, None)
                else:
                    later.setdefault(following, choice)

    def arrive(self, state: int, last: Choice | None) -> tuple[int, ...]:
        """The CPUs that can run in a new state; where there are none, the state is judged."""
        able = tuple(self.machine.enabled(state))
        able = self.able[state] = self.groups.setdefault(able, able)
        if not able:
            violation = self.found.end(self.machine, state)
            if violation is not None:
                self.report(violation, last)
        return able

    def report(self, violation: Violation, last: Choice | None) -> None:
        cpus: list[int] = []
        while last is not None:
            cpus.append(last[1])
            last = self.made[last]
        self.found.report(violation, tuple(reversed(cpus)))


def _executions(most: int) -> str:
    if not most:
        return "every execution without preemptions"
    return f"every execution with at most {counted(most, 'preemption')}"
