"""Every interleaving: depth first over distinct states, with or without partial-order reduction.

The loop at the heart is short on purpose. A state is a number, a CPU's possible step is found by two dict look-ups, and the
state after it is one addition.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from mmlocks.machine.machine import PC_FIELD, Machine, Violation
from mmlocks.search.reduction import Reduction
from mmlocks.search.verdict import Cancelled, Exploration, Meter


WALKS, LONGEST_WALK, IDLE_WALKS = 200, 400, 20
"""Walks before a reduced search: how many at most, how many steps each, and how many in a row that discover nothing are the last."""


@dataclass(frozen=True)
class Exhaustive:
    """Every interleaving; `reduced`: of each set of steps that commute only one order."""

    reduced: bool = True

    def explore(self, machine: Machine, meter: Meter, stop: bool = True) -> Exploration:
        """See `Strategy`. What it finds safe is safe."""
        return explore(machine, meter, self.reduced, stop=stop)


def explore(
    machine: Machine, meter: Meter, reduced: bool = True, remember: bool = False, stop: bool = True,
    reduction: Reduction | None = None,
) -> Exploration:  # fmt: skip
    """Search all interleavings of `machine`, until the first violation (`stop`) or to the end.

    With `remember`, the schedule of the first violation comes along. Raises NondeterminismError if a task's code turns out not
    to be deterministic.
    """
    search = _Search(machine, meter, remember, stop, (reduction or Reduction(machine)) if reduced else None)
    try:
        search.run()
    except Cancelled as stopped:
        search.found.reason = str(stopped)
    except KeyboardInterrupt:
        search.found.reason = "interrupted"
    except _Stop:
        pass
    found = search.found
    found.seen, found.states, found.transitions = search.seen.keys(), len(search.seen), meter.transitions
    return found


class _Stop(Exception):
    """The first violation has been found."""


class _Search:
    def __init__(
        self, machine: Machine, meter: Meter, remember: bool, stop: bool, reduction: Reduction | None
    ) -> None:
        self.machine = machine
        self.meter = meter
        self.stop = stop
        self.reduction = reduction
        how = "one order of each set of steps that commute" if reduction else "every order of steps"
        self.found = Exploration(f"all interleavings searched ({how})")
        # For every state seen: the CPUs (bit mask) whose steps have been followed from it.
        self.seen: dict[int, int] = {machine.initial: 0}
        self.parents: dict[int, tuple[int, int]] | None = {} if remember else None

    def run(self) -> None:
        stillborn = self.machine.stillborn()
        if stillborn is not None:
            self.report(stillborn, self.machine.initial, None)
            return
        work = [self.machine.initial]
        if self.reduction is not None:
            _warm_up(self.machine)
            self.reduction.refresh()
        while work:
            self.drain(work)
            if self.reduction is not None and self.reduction.stale:
                self.reduction.refresh()
                work = list(self.seen)  # futures have grown: look at every decision again

    def drain(self, work: list[int]) -> None:
        """Follow the chosen steps of every state in `work`, and of all that they lead to."""
        machine, seen, parents = self.machine, self.seen, self.parents
        cpus = [(cpu, shift, machine.tasks[cpu].nodes) for cpu, shift in enumerate(machine.layout.pc_shifts)]
        all_cpus = (1 << len(cpus)) - 1
        # CPU bit mask -> the CPUs in it, so that the loop below visits no others.
        members = [[entry for entry in cpus if mask >> entry[0] & 1] for mask in range(all_cpus + 1)]
        choose = self.reduction.choose if self.reduction is not None else lambda _: all_cpus
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
                        if after not in seen:
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
        """Nobody can run any more: a final state to be judged, or a deadlock."""
        machine = self.machine
        if machine.finished(state):
            self.found.endings.add(state & ~machine.layout.pc_mask)
            violation = machine.judge(state)
        else:
            violation = machine.deadlock(state)
        if violation is not None:
            self.report(violation, state, None)

    def report(self, violation: Violation, state: int, cpu: int | None) -> None:
        self.found.violations.add(violation)
        if self.found.violation is None:
            self.found.violation = violation
            if self.parents is not None:
                self.found.schedule = self.way_to(state) + (() if cpu is None else (cpu,))
        if self.stop:
            raise _Stop

    def way_to(self, state: int) -> tuple[int, ...]:
        assert self.parents is not None
        cpus: list[int] = []
        while state in self.parents:
            state, cpu = self.parents[state]
            cpus.append(cpu)
        return tuple(reversed(cpus))


def _warm_up(machine: Machine) -> None:
    """Discover most of the automata by walking through them, so that the first futures are nearly right.

    On a walk the most urgent CPU runs, and now and then one CPU's urgency changes: choosing at random among all would hardly ever let one
    run far ahead of the others (Burckhardt et al., "A randomized scheduler with probabilistic guarantees", ASPLOS 2010). It ends when
    walks in a row have discovered nothing. Only speed depends on it. The seed is fixed: searches are reproducible.
    """
    chance = random.Random(0)
    idle = 0
    for _ in range(WALKS):
        grown = sum(task.growth for task in machine.tasks)
        state = machine.initial
        urgency = [chance.random() for _ in machine.cpus]
        for _ in range(LONGEST_WALK):
            if chance.random() < 0.1:
                urgency[chance.choice(machine.cpus)] = chance.random()
            outcomes = [(cpu, machine.outcome(state, machine.node(state, cpu), cpu)) for cpu in machine.cpus]
            moves = [(urgency[cpu], outcome) for cpu, outcome in outcomes if isinstance(outcome, int)]
            if not moves:
                break
            state += max(moves)[1]
        idle = idle + 1 if grown == sum(task.growth for task in machine.tasks) else 0
        if idle == IDLE_WALKS:
            break
