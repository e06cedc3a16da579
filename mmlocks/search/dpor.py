"""Dynamic partial-order reduction: every distinct execution is followed, and followed once.

Two executions are the same (one Mazurkiewicz trace) if swapping neighbouring steps that do not
conflict turns one into the other. This search remembers no states. It follows an execution to its
end. There it looks for **races**: pairs of steps that conflict, and that nothing else has put in
order. For each race it plans a sequence in which the second step comes first. So it counts
executions where other searches count states, and says how little an ideal reduction could leave.

The algorithm is *optimal DPOR*: Abdulla, Aronis, Jonsson, Sagonas, "Optimal dynamic partial order
reduction", POPL 2014; with proofs: "Source sets: a foundation for optimal dynamic partial order
reduction", JACM 64(4), 2017. In its terms:

* A **sleep set** holds CPUs whose next step has been followed from here already. An execution that
  could as well begin with one of them has been seen.
* A **wakeup tree** holds the sequences that are still to be followed from here. So no execution is
  begun that turns out to have been seen.

Four decisions are ours:

* *Which steps conflict* is read off their declared footprints. What they really touch, by which
  `mmlocks.search.reduction` goes, would be finer, but it depends on what came before. Footprints
  answer for any two steps, even for steps that cannot happen, so "the same execution" means one
  thing.
* *Blocked steps.* The paper's races can be reversed; a lock cannot be taken before its release.
  Whether a step can happen depends on the cells of its footprint alone, so only steps that conflict
  with it can block it or let it go. If it cannot come before one of them, we try to put it before
  one more of them, and so on: before the unlock, no; before the lock and the unlock, yes. A step
  that is still waiting at the end of an execution takes part like any other.
* *A broken rule* halts the CPU that broke it, and the others go on. Otherwise their later steps
  would never be seen to race with earlier ones, and executions in which nothing goes wrong would be
  missed.
* *A CPU that spins* halts as well, once it is back where it was and has changed nothing on the way:
  without that round, the same execution is shorter. So programs with spin loops have a finite
  number of executions, too (Kokologiannakis, Ren, Vafeiadis, "Dynamic partial order reductions for
  spinloops", FMCAD 2021). Only a loop that writes in each round can make an execution endless; such
  an execution is cut at a bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from mmlocks.errors import ModelError
from mmlocks.machine.machine import Machine, Violation
from mmlocks.machine.task import Node
from mmlocks.search.reduction import clashing, touched
from mmlocks.search.verdict import STOPPED, Exploration, FirstViolation, Meter, why
from mmlocks.sentences import counted

GLANCE = 64
"""Steps between two looks at the clock: the races after every execution take time, too."""


@dataclass(frozen=True)
class Dpor:
    """Every distinct execution, once.

    `Exploration.executions` counts them, those included that deadlock or break a rule. Executions
    with a needless round of a spin loop do not count. An execution of more than `steps` steps is
    cut there, and does not count either; the search then proves nothing. `Exploration.seen` has the
    states in which every CPU that can run spins. As no states are remembered, a budget's `states`
    bounds the steps taken. A search that goes on past the first violation finds the same
    `violations` as a search of all interleavings. Raises ModelError unless `steps` is positive.
    """

    steps: int = 1_000

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ModelError(
                f"a search cannot cut executions after {self.steps} steps. Say 1 or a number above."
            )

    def explore(self, machine: Machine, meter: Meter, stop: bool = True) -> Exploration:
        """See `Strategy`."""
        found = Exploration("every distinct execution followed", stop=stop)
        search = _Search(machine, meter, found, self.steps)
        try:
            search.run()
        except STOPPED as stopped:
            found.reason = why(stopped)
        except FirstViolation:
            found.executions += 1
        if search.cut:
            found.searched = f"distinct executions followed for up to {self.steps:,} steps"
            found.left_out = f"what comes later (cut short: {counted(search.cut, 'execution')})"
        found.seen, found.transitions = search.spins, meter.transitions
        return found


class _Event(NamedTuple):
    """A CPU's step, taken or to be taken, with its footprint as numbers (see `touched`)."""

    cpu: int
    node: Node
    touches: int
    clashes: int

    def conflicts(self, other: _Event) -> bool:
        """Whether the order of the two matters."""
        return self.cpu == other.cpu or bool(self.clashes & other.touches)

    def may_begin(self, sequence: list[_Event]) -> bool:
        """Whether the sequence, or a longer one, could as well begin with this step.

        The paper's *weak initials*.
        """
        for event in sequence:
            if event.cpu == self.cpu:
                return True
            if self.clashes & event.touches:
                return False
        return True


@dataclass(slots=True)
class _Branch:
    """A step of a wakeup tree, and what must follow it."""

    event: _Event
    then: list[_Branch]


@dataclass(slots=True)
class _Prefix:
    """The execution up to here.

    `plan` is the wakeup tree. Its first branch is being followed: its step leads to the next
    prefix. `before` are the earlier steps (a bit mask over their numbers) that happen before that
    step.
    """

    state: int
    broke: int
    """The steps (bit mask over their numbers) that broke a rule."""
    halted: int
    """The CPUs (bit mask) that broke a rule or spin."""
    rounds: tuple[int, ...]
    """For each CPU, the nodes (bit mask) where it has been since it last changed anything."""
    plan: list[_Branch]
    asleep: list[_Event]
    before: int = 0


@dataclass
class _Search:
    machine: Machine
    meter: Meter
    found: Exploration
    longest: int
    cut: int = 0
    spins: dict[int, None] = field(default_factory=dict)
    """States in which CPUs spin for ever, in the order in which they were found."""
    path: list[_Prefix] = field(default_factory=list)
    events: list[_Event] = field(default_factory=list)
    """The step taken at each prefix of `path` but the last."""

    def __post_init__(self) -> None:
        self._known: list[list[_Event]] = [[] for _ in self.machine.tasks]
        self._following: dict[int, int] = {}

    def run(self) -> None:
        stillborn = self.machine.stillborn()
        if stillborn is not None:
            self.report(stillborn)
            return
        self.arrive(_Prefix(self.machine.initial, 0, 0, (0,) * len(self.machine.tasks), [], []))
        while True:
            if self.path[-1].plan:
                self.follow()
                continue
            self.path.pop()
            if not self.path:
                return
            back = self.path[-1]
            back.asleep.append(self.events.pop())
            del back.plan[0]

    def follow(self) -> None:
        """Take the first step of the plan."""
        here = self.path[-1]
        event, then = here.plan[0].event, here.plan[0].then
        self.count(1)
        after = self.machine.after(here.state, event.cpu)
        assert after is not None, "what is planned can be done"
        here.before = self.happening_before(event)
        asleep = [other for other in here.asleep if not other.conflicts(event)]
        self.events.append(event)
        if isinstance(after, Violation):
            if not here.broke & here.before:  # otherwise it had ended before this step
                self.report(after)
            broke, halted = here.broke | 1 << len(self.events) - 1, here.halted | 1 << event.cpu
            self.arrive(_Prefix(here.state, broke, halted, here.rounds, then, asleep))
            return
        halted = here.halted
        been = here.rounds[event.cpu] | 1 << event.node.index
        if (after ^ here.state) & ~self.machine.layout.pc_mask:
            been = 0
        elif been >> self.machine.node(after, event.cpu).index & 1:
            halted |= 1 << event.cpu
        rounds = (*here.rounds[: event.cpu], been, *here.rounds[event.cpu + 1 :])
        self.arrive(_Prefix(after, here.broke, halted, rounds, then, asleep))

    def arrive(self, here: _Prefix) -> None:
        """Go on from a new prefix; if that is not possible, this execution is over."""
        self.path.append(here)
        if len(self.events) >= self.longest and any(self.able(here)):
            self.cut += 1
            here.plan.clear()
            self.plan_reversals()
        elif not here.plan:
            able = list(self.able(here))
            awake = [event for event in able if event not in here.asleep]
            if awake:
                here.plan.append(_Branch(self.choice(awake), []))
            elif not able:
                self.end(here)
                self.plan_reversals()

    def choice(self, able: list[_Event]) -> _Event:
        """Any of them would do. The last CPU goes on, unless it went round a loop.

        Otherwise the others could wait for ever for a CPU that never ends.
        """
        if not self.events:
            return able[0]
        last = self.events[-1]
        for event in able:
            if event.cpu == last.cpu and event.node.index > last.node.index:
                return event
        return next((event for event in able if event.cpu > last.cpu), able[0])

    def end(self, here: _Prefix) -> None:
        """No CPU can go on: a rule was broken, a CPU spins, or the state must be judged."""
        if not here.broke:
            if here.halted:
                self.spins.update(dict.fromkeys(self.spinning(here)))
                return
            violation = self.found.end(self.machine, here.state)
            if violation is not None:
                self.report(violation)
        self.found.executions += 1

    def spinning(self, here: _Prefix) -> list[int]:
        """The states in which CPUs go round and round.

        None if one of them could leave its loop: that is another execution.
        """
        machine, passed = self.machine, list[int]()
        for cpu in machine.cpus:
            if here.halted >> cpu & 1:
                state, been = here.state, set()
                while state not in been:
                    been.add(state)
                    passed.append(state)
                    after = machine.after(state, cpu)
                    if not isinstance(after, int) or (state ^ after) & ~machine.layout.pc_mask:
                        return []
                    state = after
        return passed

    def report(self, violation: Violation) -> None:
        self.found.report(violation, tuple(event.cpu for event in self.events))

    # -- races ---------------------------------------------------------------------------------

    def plan_reversals(self) -> None:
        """Plan what the races of this execution ask to be followed."""
        path = self.path
        everything = (1 << len(self.events)) - 1
        self._following.clear()
        # What happens before each CPU's next step, whenever that is taken.
        fixed = [0 for _ in self.machine.tasks]
        for number, event in enumerate(self.events):
            before = path[number].before
            movable = before & ~fixed[event.cpu]
            if movable:
                self.reverse(event, everything & ~self.following(number), movable)
            fixed[event.cpu] |= before | 1 << number
        for event in self.pending(path[-1]):
            self.reverse(event, everything, everything & ~fixed[event.cpu])

    def reverse(self, event: _Event, around: int, movable: int) -> None:
        """Let `event` come before each of the steps that it races with.

        While it is blocked there, let it come before one more of them. `around` are the steps that
        do not need `event`; `movable` are those among them that `event` does not need.
        """
        path, events = self.path, self.events
        conflicting = sum(
            1 << number for number in _bits(movable) if event.conflicts(events[number])
        )
        work, met = [around], {around}
        while work:
            around = work.pop()
            racing = conflicting & around
            while racing:
                last = racing.bit_length() - 1
                racing &= ~(path[last].before | 1 << last)
                without = around & ~self.following(last)
                if without not in met:
                    met.add(without)
                    if not self.plan(event, without):
                        work.append(without)

    def following(self, number: int) -> int:
        """A step of this execution and all that happen after it, as a bit mask."""
        if number not in self._following:
            mine = 1 << number
            self._following[number] = mine | sum(
                1 << later
                for later in range(number + 1, len(self.events))
                if self.path[later].before & mine
            )
        return self._following[number]

    def plan(self, event: _Event, first: int) -> bool:
        """Plan an execution in which `event` follows the steps `first`, if it is a new one.

        False if `event` is blocked there.
        """
        self.count(0)
        start = (~first & first + 1).bit_length() - 1  # the first step that is left out
        here = self.path[start]
        sequence = [self.events[number] for number in _bits(first >> start << start)]
        state = here.state
        for earlier in sequence:
            after = self.machine.after(state, earlier.cpu)
            if isinstance(after, int):
                state = after
        if self.machine.outcome(state, event.node, event.cpu) is None:
            return False
        sequence.append(event)
        if not any(other.may_begin(sequence) for other in here.asleep):
            _insert(here.plan, sequence)
        return True

    # -- steps ---------------------------------------------------------------------------------

    def happening_before(self, event: _Event) -> int:
        """The steps of this execution (bit mask) that happen before `event`, its next one."""
        before = 0
        for number in range(len(self.events) - 1, -1, -1):
            if not before >> number & 1 and self.events[number].conflicts(event):
                before |= self.path[number].before | 1 << number
        return before

    def able(self, here: _Prefix) -> Iterator[_Event]:
        """The steps that can be taken now."""
        for event in self.pending(here):
            if self.machine.outcome(here.state, event.node, event.cpu) is not None:
                yield event

    def pending(self, here: _Prefix) -> Iterator[_Event]:
        """The next step of every CPU that has one."""
        for cpu in self.machine.cpus:
            node = self.machine.node(here.state, cpu)
            if node.step is not None and not here.halted >> cpu & 1:
                yield self.event(cpu, node)

    def event(self, cpu: int, node: Node) -> _Event:
        """A CPU's step, always the same one for the same moment of its task."""
        known, cells = self._known[cpu], len(self.machine.layout.cells)
        while len(known) <= node.index:
            new = self.machine.tasks[cpu].nodes[len(known)]
            known.append(
                _Event(cpu, new, touched(new.footprint, cells), clashing(new.footprint, cells))
            )
        return known[node.index]

    def count(self, steps: int) -> None:
        """Count work; now and then, look whether to go on."""
        self.meter.transitions += steps
        self.meter.ticks += 1
        if self.meter.ticks % min(GLANCE, self.meter.every) == 0:
            self.meter.check(self.meter.transitions)


def _insert(plan: list[_Branch], sequence: list[_Event]) -> None:
    """Add a sequence to a wakeup tree, unless something that is planned already leads to it."""
    while True:
        for branch in plan:
            if branch.event.may_begin(sequence):
                break
        else:
            break
        if not branch.then:
            return
        mine = next((event for event in sequence if event.cpu == branch.event.cpu), None)
        sequence = [event for event in sequence if event is not mine]
        plan = branch.then
    for event in sequence:
        plan.append(_Branch(event, []))
        plan = plan[-1].then


def _bits(mask: int) -> Iterator[int]:
    """The numbers of the bits that are set, from the lowest."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest
