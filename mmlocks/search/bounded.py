"""Every execution with at most so many preemptions: where most bugs are, at a small part of the cost.

A preemption takes the CPU away from a task that could go on; a task that blocks or ends gives way by itself. Iterative context bounding
(Musuvathi & Qadeer, "Iterative context bounding for systematic testing of multithreaded programs", PLDI 2007) looks at all executions without
a preemption, then at those with one, and so on. All executions are exponentially many in the steps of a program, those with a bounded
number of preemptions polynomially many. A task that spins must be preempted, too, or it goes round for ever.

No reduction here: of steps that commute, the order that it keeps may be the one with more preemptions (Coons, Musuvathi & McKinley, "Bounded
partial-order reduction", OOPSLA 2013).
"""

from __future__ import annotations

from dataclasses import dataclass

from mmlocks.errors import ModelError
from mmlocks.machine.machine import Machine, Violation
from mmlocks.search.verdict import STOPPED, Exploration, Meter, why

Choice = tuple[int, int]
"""A state, and the CPU that takes the next step there."""
Ways = dict[Choice, Choice | None]
"""For each choice the one before it; None for the first of all."""


@dataclass(frozen=True)
class Bounded:
    """Every execution with at most `preemptions` preemptions. Raises ModelError for a number below 0."""

    preemptions: int = 2

    def __post_init__(self) -> None:
        if self.preemptions < 0:
            raise ModelError(
                f"a search cannot be bounded to {self.preemptions} preemptions. Say 0 or a number above."
            )

    def explore(self, machine: Machine, meter: Meter, stop: bool = True) -> Exploration:
        """See `Strategy`. Where more preemptions lead nowhere else, everything has been searched, and what is found safe is safe."""
        found = Exploration(f"{_executions(self.preemptions)} searched")
        search = _Search(machine, meter, stop, found)
        done = -1
        try:
            search.begin()
            while search.later and done < self.preemptions:
                search.next_round()
                done += 1
            if search.later:
                found.left_out = "executions with more preemptions"
            else:
                most = _preemptions(max(done, 0))
                found.searched = (
                    f"all interleavings searched (no state takes more than {most} to reach)"
                )
        except STOPPED as stopped:
            found.reason = why(stopped)
            if done >= 0:
                found.reason += f" after {_executions(done)}"
        except _Stop:
            pass
        found.seen, found.states, found.transitions = (
            search.able.keys(),
            len(search.able),
            meter.transitions,
        )
        return found


class _Stop(Exception):
    """The first violation has been found."""


class _Search:
    def __init__(self, machine: Machine, meter: Meter, stop: bool, found: Exploration) -> None:
        self.machine = machine
        self.meter = meter
        self.stop = stop
        self.found = found
        # For every state seen, the CPUs that can run there. States share these tuples, of which there are few.
        self.able: dict[int, tuple[int, ...]] = {}
        self.groups: dict[tuple[int, ...], tuple[int, ...]] = {}
        # Every choice made so far. Rounds go from few preemptions to many, so the way to a choice has as few as can be.
        self.made: Ways = {}
        # The choices that the next round begins with: each costs one preemption more than this round may.
        self.later: Ways = {}

    def begin(self) -> None:
        """The first round begins with any CPU, and none is preempted."""
        stillborn = self.machine.stillborn()
        if stillborn is not None:
            self.report(stillborn, None)
            return
        initial = self.machine.initial
        self.later = {(initial, cpu): None for cpu in self.arrive(initial, None)}

    def next_round(self) -> None:
        """Make the choices that were left for later, and all that come after them without another preemption."""
        machine, made, every = self.machine, self.made, self.meter.every
        made.update(self.later)
        work = list(self.later)
        later = self.later = {}
        since_check = 0
        while work:
            since_check += 1
            if since_check >= every:
                since_check = 0
                self.meter.check(len(self.able))
            choice = work.pop()
            state, cpu = choice
            self.meter.transitions += 1
            outcome = machine.outcome(state, machine.node(state, cpu), cpu)
            if isinstance(outcome, Violation):
                self.report(outcome, choice)
                continue
            state += outcome
            able = self.able[state] if state in self.able else self.arrive(state, choice)
            for other in able:
                following = (state, other)
                if following in made:
                    continue
                if other == cpu or cpu not in able:
                    made[following] = choice
                    work.append(following)
                    later.pop(following, None)
                else:
                    later.setdefault(following, choice)

    def arrive(self, state: int, last: Choice | None) -> tuple[int, ...]:
        """The CPUs that can run in a state that is seen for the first time. If there are none, it is judged."""
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
        if self.stop:
            raise _Stop


def _executions(most: int) -> str:
    return (
        f"every execution with at most {_preemptions(most)}"
        if most
        else "every execution without preemptions"
    )


def _preemptions(number: int) -> str:
    return f"{number} preemption{'s' * (number != 1)}"
