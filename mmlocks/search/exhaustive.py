"""Every interleaving: depth first over distinct states, with or without partial-order reduction.

The loop at the heart is short on purpose. A state is a number. A CPU's possible step is found by
two look-ups, and the state after it is one addition.
"""

from __future__ import annotations

from dataclasses import dataclass

from mmlocks.machine.machine import PC_FIELD, Machine, Violation
from mmlocks.search.reduction import Reduction
from mmlocks.search.scouting import scout
from mmlocks.search.symmetry import Symmetry
from mmlocks.search.verdict import STOPPED, Exploration, FirstViolation, Meter, why
from mmlocks.search.ways import way_to

SCOUTS = 10
"""States of each depth that scout ahead of a reduced search: more cost more than they save."""


@dataclass(frozen=True)
class Exhaustive:
    """Every interleaving; if `reduced`, one order of each set of steps that commute."""

    reduced: bool = True

    def explore(self, machine: Machine, meter: Meter, stop: bool = True) -> Exploration:
        """See `Strategy`. What it finds safe is safe."""
        return explore(machine, meter, self.reduced, stop=stop)


def explore(
    machine: Machine,
    meter: Meter,
    reduced: bool = True,
    remember: bool = False,
    stop: bool = True,
    reduction: Reduction | None = None,
) -> Exploration:
    """Search all interleavings of `machine`, until the first violation (`stop`) or to the end.

    With `remember`, the schedule of the first violation comes along. Where the machine declares
    symmetries, a reduced search counts one of all states that are alike. It then finds all endings
    and deadlocks, and steps that break a rule up to an exchange of CPUs. Raises NondeterminismError
    if a task's code turns out not to be deterministic, and ModelError if CPUs are declared alike
    and are not.
    """
    chooses = (reduction or Reduction(machine)) if reduced else None
    # A way through states that stand for others is not a schedule. And a caller that brings its own
    # reduction uses it on the states seen, so they must be the real ones.
    symmetric = reduced and machine.symmetries and not remember and reduction is None
    symmetry = Symmetry(machine) if symmetric else None
    found = Exploration(searched(reduced, symmetry is not None), stop=stop)
    search = _Search(machine, meter, found, remember, chooses, symmetry)
    try:
        search.run()
    except STOPPED as stopped:
        found.reason = why(stopped)
    except FirstViolation:
        if symmetry is not None:
            symmetry.close()  # check once more that the states seen may stand for others
    found.seen, found.states = search.seen.keys(), len(search.seen)
    found.transitions = meter.transitions
    return found


def searched(reduced: bool, symmetric: bool = False) -> str:
    """What an exhaustive search has looked at, in words."""
    how = "one order of each set of steps that commute" if reduced else "every order of steps"
    if symmetric:
        how += ", and one of CPUs that are declared alike"
    return f"all interleavings searched ({how})"


class _Search:
    def __init__(
        self,
        machine: Machine,
        meter: Meter,
        found: Exploration,
        remember: bool,
        reduction: Reduction | None,
        symmetry: Symmetry | None,
    ) -> None:
        self.machine = machine
        self.meter = meter
        self.found = found
        self.reduction = reduction
        self.symmetry = symmetry
        # For every state seen: the CPUs (bit mask) whose steps have been followed from it.
        self.seen: dict[int, int] = {machine.initial: 0}
        self.parents: dict[int, tuple[int, int]] | None = {} if remember else None
        self.look_at = 0
        """The number of states at which it next looks whether the automata have grown.

        The later that is noticed, the more choices must be made again.
        """

    def run(self) -> None:
        stillborn = self.machine.stillborn()
        if stillborn is not None:
            self.report(stillborn, self.machine.initial, None)
            return
        work = [self.machine.initial]
        if self.reduction is not None:
            scout(self.machine, SCOUTS)
        work += self.outdated()
        while work:
            self.drain(work)
            if self.symmetry is not None:
                self.symmetry.close()
            work += self.outdated()

    def outdated(self) -> list[int]:
        """The states in which the reduction might now choose otherwise: the automata have grown."""
        reduction = self.reduction
        if reduction is None or not reduction.stale:
            return []
        self.look_at = 2 * len(self.seen)
        if self.symmetry is not None:
            self.symmetry.close()
        reduction.refresh()
        if self.symmetry is not None:
            self.symmetry.widen(reduction.loops)
        news = list(zip(self.machine.layout.pc_shifts, reduction.news(), strict=True))
        found, every = [], self.meter.every
        for count, (state, followed) in enumerate(self.seen.items()):
            if count % every == 0:
                self.meter.check(len(self.seen))
            if followed and any(state >> shift & PC_FIELD in new for shift, new in news):
                found.append(state)
        return found

    def drain(self, work: list[int]) -> None:
        """Follow the chosen steps of every state in `work`, and of all that they lead to."""
        machine, seen, parents = self.machine, self.seen, self.parents
        cpus = [
            (cpu, shift, machine.tasks[cpu].nodes)
            for cpu, shift in enumerate(machine.layout.pc_shifts)
        ]
        all_cpus = (1 << len(cpus)) - 1
        # CPU bit mask -> the CPUs in it: the loop below visits only these.
        members = [
            [entry for entry in cpus if mask >> entry[0] & 1] for mask in range(all_cpus + 1)
        ]
        choose = self.reduction.choose if self.reduction is not None else lambda _: all_cpus
        canonical = self.symmetry.canonical if self.symmetry is not None else None
        outcome_of, every = machine.outcome, self.meter.every
        transitions = since_check = 0
        try:
            while work:
                state = work.pop()
                since_check += 1
                if since_check >= every:
                    self.meter.transitions += transitions
                    transitions = since_check = 0
                    self.meter.check(len(seen))
                    if len(seen) > self.look_at:
                        work += self.outdated()
                followed = seen[state]
                chosen = choose(state)
                seen[state] = followed | chosen
                able = False
                for cpu, shift, nodes in members[chosen & ~followed]:
                    node = nodes[state >> shift & PC_FIELD]
                    try:
                        outcome = node.outcomes[state & node.project]
                    except KeyError:
                        outcome = outcome_of(state, node, cpu)
                    if outcome.__class__ is int:
                        after = state + outcome
                        if after not in seen and (
                            canonical is None or (after := canonical(after)) not in seen
                        ):
                            seen[after] = 0
                            work.append(after)
                            if parents is not None:
                                parents[after] = (state, cpu)
                    elif outcome is not None:
                        self.report(outcome, state, cpu)
                    else:
                        continue
                    able = True
                    transitions += 1
                if not able and not followed:
                    self.end(state)
        finally:
            self.meter.transitions += transitions

    def end(self, state: int) -> None:
        """Judge a state in which no CPU can run any more."""
        for ending in (state,) if self.symmetry is None else self.symmetry.orbit(state):
            violation = self.found.end(self.machine, ending)
            if violation is not None:
                self.report(violation, ending, None)

    def report(self, violation: Violation, state: int, cpu: int | None) -> None:
        way = None
        if self.parents is not None:
            way = way_to(state, self.parents) + (() if cpu is None else (cpu,))
        self.found.report(violation, way)
