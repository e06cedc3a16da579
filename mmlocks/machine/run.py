"""One execution, step by step: a value that can be continued, undone, replayed and looked into."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from mmlocks.errors import ScheduleError
from mmlocks.machine.machine import Machine, Transition, Violation
from mmlocks.machine.state import View
from mmlocks.machine.step import OPERATIONS
from mmlocks.machine.values import Step


@dataclass(frozen=True)
class Run:
    """An execution of a machine so far.

    Immutable: `step` and `undo` return another Run, and old ones stay good. `states[n]` is the
    packed state after n steps; `taken[n]` is the step between `states[n]` and `states[n + 1]`.
    """

    machine: Machine
    states: tuple[int, ...]
    taken: tuple[Transition, ...] = ()

    @classmethod
    def of(cls, machine: Machine) -> Run:
        """The run in which nothing has happened yet."""
        return cls(machine, (machine.initial,))

    @classmethod
    def replay(cls, machine: Machine, cpus: Iterable[int]) -> Run:
        """The run in which these CPUs took the steps.

        Raises ScheduleError at the first step that is not possible.
        """
        run = cls.of(machine)
        for number, cpu in enumerate(cpus, 1):
            if cpu not in machine.cpus:
                raise ScheduleError(
                    f"step {number} of the schedule is cpu{cpu}'s, and this program has "
                    f"{len(machine.cpus)} CPUs."
                )
            if run.violation is not None:
                raise ScheduleError(
                    f"the schedule goes on at step {number}, after the run has ended: "
                    f"{run.violation.message}"
                )
            following = run.step(cpu)
            if following is run:
                why = run.why_blocked(cpu) or "its task is done"
                raise ScheduleError(
                    f"step {number} of the schedule is cpu{cpu}'s, but cpu{cpu} cannot run: {why}."
                )
            run = following
        return run

    def joined(self) -> Run:
        """The same run with fewer steps to read.

        Parts of one `together` that were taken apart are one step again, if no other step came in
        between.
        """
        states, taken = [self.states[0]], []
        at = 0
        while at < len(self.taken):
            group = self._group(at)
            at += len(group)
            last = group[-1]
            if len(group) > 1:
                step = Step("together", tuple(part.step for part in group))
                last = last._replace(step=step, result=tuple(part.result for part in group))
            states.append(last.state)
            taken.append(last)
        return replace(self, states=tuple(states), taken=tuple(taken))

    def _group(self, at: int) -> tuple[Transition, ...]:
        """The steps from number `at` on that the program asked for together."""
        first = self.taken[at]
        answer = self.machine.node(self.states[at], first.cpu).answer
        group = [first]
        for number in range(at + 1, min(at + answer.parts - answer.part, len(self.taken))):
            if self.taken[number].cpu != first.cpu or group[-1].violation is not None:
                break
            group.append(self.taken[number])
        whole = answer.part == 0 and len(group) == answer.parts
        return tuple(group if whole else group[:1])

    @property
    def state(self) -> int:
        """The packed state now."""
        return self.states[-1]

    @property
    def cpus(self) -> tuple[int, ...]:
        """The CPU that took each step."""
        return tuple(transition.cpu for transition in self.taken)

    def __len__(self) -> int:
        return len(self.taken)

    def step(self, cpu: int) -> Run:
        """This run and one step of `cpu`; the same run if that is not possible."""
        if self.taken and self.taken[-1].violation is not None:
            return self
        transition = self.machine.step(self.state, cpu)
        if transition is None:
            return self
        return replace(
            self, states=(*self.states, transition.state), taken=(*self.taken, transition)
        )

    def undo(self, steps: int = 1) -> Run:
        """This run without its last steps."""
        return self.at(len(self.taken) - steps)

    def at(self, steps: int) -> Run:
        """The run as it was after so many steps, or the nearest that there is."""
        steps = min(max(steps, 0), len(self.taken))
        return replace(self, states=self.states[: steps + 1], taken=self.taken[:steps])

    @property
    def violation(self) -> Violation | None:
        """The rule that this run broke: in its last step, by a deadlock, or in its final state."""
        if self.taken and self.taken[-1].violation is not None:
            return self.taken[-1].violation
        if not self.taken and (stillborn := self.machine.stillborn()) is not None:
            return stillborn
        return self.machine.ends_badly(self.state)

    @property
    def over(self) -> bool:
        """Whether no CPU can take another step."""
        return self.violation is not None or self.machine.finished(self.state)

    def enabled(self) -> list[int]:
        """The CPUs that can take a step now."""
        if self.taken and self.taken[-1].violation is not None:
            return []
        return self.machine.enabled(self.state)

    def told(self, number: int) -> str:
        """What step `number` (from 0) did."""
        return self.machine.tell(self.states[number], self.taken[number])

    def why_blocked(self, cpu: int) -> str | None:
        """What `cpu` waits for, who holds it and since when; None if it can run or is done."""
        why = self.machine.why_blocked(self.state, cpu)
        if why is None:
            return None
        held = " and ".join(
            f"cpu{holder} {self._since(cpu, holder)}" for holder in dict.fromkeys(why.holders)
        )
        return f"cpu{cpu} waits for {why.awaits}" + (f", held by {held}" if held else "")

    def _since(self, cpu: int, holder: int) -> str:
        """Since when `holder` has stood in the way of `cpu`'s pending step."""
        step = self.machine.node(self.state, cpu).step
        assert step is not None
        known = OPERATIONS[step.op]
        since = len(self.states) - 1
        while since >= 0 and holder in known.holders(
            View(self.machine.layout, self.states[since], -1, -1), cpu, *step.args
        ):
            since -= 1
        return f"since step {since + 1}" if since >= 0 else "from the start"
