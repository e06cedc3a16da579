"""The machine: tasks, shared state, and the one function that lets a CPU take its next step."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from mmlocks.errors import ScenarioTooSmall, UndeclaredAccess
from mmlocks.machine.coroutine import CoroutineSupplier
from mmlocks.machine.state import PC_BITS, Layout, View
from mmlocks.machine.step import (
    BLOCKED,
    OPERATIONS,
    Footprint,
    ViolationSignal,
    parts,
    perform,
)
from mmlocks.machine.swap import Swap
from mmlocks.machine.task import Node, Place, SplitSupplier, Supplier, Task, at, cannot_happen
from mmlocks.machine.values import Step

Start = Callable[[], Coroutine[Step, Any, Any]]
"""Makes a fresh coroutine of a task, e.g. `lambda: fork(mm)`."""


class Violation(NamedTuple):
    """A rule that was broken: which oracle saw it, and one sentence on what happened."""

    oracle: str
    message: str


class Blocked(NamedTuple):
    """Why a CPU cannot run: what it waits for, and which CPUs hold that."""

    awaits: str
    holders: tuple[int, ...]


class Transition(NamedTuple):
    """One step taken: the state after it, the step's result, and the rule that it broke, if any.

    Where a rule was broken the run ends, and `state` is the state before the step.
    """

    state: int
    cpu: int
    step: Step
    result: Any
    violation: Violation | None


class Watch(Protocol):
    """Looks at every step just before it is taken, and may find that a rule of its own is broken.

    An oracle that asks "are the locks held that this store needs?" must see more than the step
    touches. So a watch says in advance which cells it looks at. It changes nothing.

    The outcome of a step depends on these cells, too, but they are *not* part of its footprint. So
    a watch costs the reduction nothing: two steps that commute still count as commuting. That is
    sound under one condition, which every watch must keep:

        a step of another CPU that does not conflict with this one must not change its judgement.

    Otherwise the search might look at one order of the two only, and at the wrong one. "Do I hold
    this lock?" keeps it: only I begin or cease to hold a lock. "Have I write-locked this VMA?"
    keeps it, too: while I hold mmap_lock for writing, another CPU that changes either number breaks
    a rule. "Does another CPU hold this lock?" does not.
    """

    def looks_at(self, cpu: int, step: Step) -> int:
        """The cells (a bit mask over their indices) that it must see beside the step's own."""

    def judge(self, view: View, cpu: int, step: Step, where: tuple[Place, ...]) -> Violation | None:
        """The rule that `cpu` would break by this step; None if none, or if it is blocked."""


PC_FIELD = (1 << PC_BITS) - 1


class Machine:
    """A program that is ready to run: a layout with its initial values, and one task per CPU.

    `tasks` are (name, start) pairs, cpu0 first; a start may also be a ready-made `Supplier`.
    `judge` looks at a final state (every task returned) and names the first broken rule, or None.
    `watches` judge every step before it is taken. `symmetries` declare which CPUs are alike.
    `verify` is called after a search, and raises if something that the search relied on is false.
    `rehearse` does the same, takes longer, and is called after a search that found nothing.
    """

    def __init__(
        self,
        layout: Layout,
        tasks: Sequence[tuple[str, Start | Supplier]],
        judge: Callable[[int], Violation | None] = lambda state: None,
        split_together: bool = False,
        watches: Sequence[Watch] = (),
        symmetries: Sequence[Swap] = (),
        verify: Callable[[], None] = lambda: None,
        rehearse: Callable[[], None] = lambda: None,
    ) -> None:
        self.layout = layout
        self._verify = verify
        self.rehearse = rehearse
        self.watches = tuple(watches)
        self.symmetries = tuple(symmetries)
        self._judge = judge
        suppliers: list[Supplier] = [
            CoroutineSupplier(cpu, start) if callable(start) else start
            for cpu, (_, start) in enumerate(tasks)
        ]
        if split_together:
            suppliers = [SplitSupplier(supplier) for supplier in suppliers]
        self.tasks = [
            Task(layout, cpu, name, supplier, self._looks_at)
            for cpu, ((name, _), supplier) in enumerate(zip(tasks, suppliers, strict=True))
        ]
        self.cpus = range(len(tasks))
        self._positions = [
            (task.cpu, layout.pc_shifts[task.cpu], task.nodes) for task in self.tasks
        ]
        self.initial = layout.initial  # every task starts at its node 0

    def with_tasks(self, tasks: Sequence[tuple[str, Supplier]]) -> Machine:
        """A machine with the same cells, judge, watches and symmetries, and other tasks."""
        return Machine(
            self.layout, tasks, self._judge, watches=self.watches, symmetries=self.symmetries
        )

    def judge(self, state: int) -> Violation | None:
        """What the program's judge says of a final state.

        If it cannot make sense of the state, that is a violation as well.
        """
        try:
            return self._judge(state)
        except (UndeclaredAccess, ScenarioTooSmall):
            raise
        except Exception as problem:
            return Violation(
                "mistake",
                f"the final state makes no sense to the referee: {type(problem).__name__}: "
                f"{problem}",
            )

    # -- looking at a state ------------------------------------------------------------------------

    def node(self, state: int, cpu: int) -> Node:
        """Where `cpu` stands in its task."""
        return self.tasks[cpu].nodes[state >> self.layout.pc_shifts[cpu] & PC_FIELD]

    def done(self, state: int, cpu: int) -> bool:
        """Whether `cpu`'s task has returned."""
        return self.node(state, cpu).step is None

    def finished(self, state: int) -> bool:
        """Whether every task has returned."""
        return all(self.done(state, cpu) for cpu in self.cpus)

    def enabled(self, state: int) -> list[int]:
        """The CPUs that can take a step now."""
        return [cpu for cpu, _ in self.moves(state)]

    def ends_badly(self, state: int) -> Violation | None:
        """What is wrong if no CPU can run: a deadlock, or what the judge says."""
        return self.judge(state) if self.finished(state) else self.deadlock(state)

    def why_blocked(self, state: int, cpu: int) -> Blocked | None:
        """What `cpu` waits for and which CPUs hold that; None if it can run or is done."""
        node = self.node(state, cpu)
        if node.step is None or self.outcome(state, node, cpu) is not None:
            return None
        known = OPERATIONS[node.step.op]
        look = View(self.layout, state, -1, -1)
        holders = known.holders(look, cpu, *node.step.args)
        return Blocked(known.awaits(look, cpu, *node.step.args), holders)

    def deadlock(self, state: int) -> Violation | None:
        """The violation if no CPU can run and not all are done; it names the cycle."""
        if self.finished(state) or self.enabled(state):
            return None
        waits = {cpu: why for cpu in self.cpus if (why := self.why_blocked(state, cpu)) is not None}
        cycle = _cycle({cpu: why.holders for cpu, why in waits.items()})
        told = "; ".join(
            f"cpu{cpu} waits for {waits[cpu].awaits}"
            + (f", held by {_cpus(waits[cpu].holders)}" if waits[cpu].holders else "")
            for cpu in cycle or waits
        )
        ring = f" (cycle {' -> '.join(f'cpu{cpu}' for cpu in [*cycle, cycle[0]])})" if cycle else ""
        return Violation("deadlock", f"deadlock{ring}: {told}. No CPU can ever run again.")

    # -- taking a step -----------------------------------------------------------------------------

    def moves(self, state: int) -> Iterator[tuple[int, int | Violation]]:
        """Each CPU that can run, with the state after its step, or the rule that the step breaks.

        Every search enumerates its moves here, save the two hot loops (`Exhaustive`, `Parallel`).
        """
        for cpu, shift, nodes in self._positions:
            node = nodes[state >> shift & PC_FIELD]
            try:
                outcome = node.outcomes[state & node.project]
            except KeyError:
                outcome = self.outcome(state, node, cpu)
            if outcome.__class__ is int:
                yield cpu, state + outcome
            elif outcome is not None:
                yield cpu, outcome

    def after(self, state: int, cpu: int) -> int | Violation | None:
        """The state after one step of `cpu`, or the rule that it breaks; None if it cannot run."""
        outcome: int | Violation | None = self.outcome(state, self.node(state, cpu), cpu)
        return state + outcome if isinstance(outcome, int) else outcome

    def outcome(self, state: int, node: Node, cpu: int) -> Any:
        """What happens if `cpu` takes `node`'s step in `state`.

        None if it is blocked or done, a Violation, or the number to add to the state (which also
        moves the CPU to its next node).

        It depends on the cells in the step's footprint alone, so it is computed once for each of
        their values.
        """
        key = state & node.project
        try:
            return node.outcomes[key]
        except KeyError:
            outcome, _, touched = self._compute(state, node, cpu)
            node.outcomes[key], node.accesses[key] = outcome, touched
            node.touched = node.touched.joined(touched)
            return outcome

    def step(self, state: int, cpu: int) -> Transition | None:
        """Let `cpu` take one step; None if it is blocked or done."""
        node = self.node(state, cpu)
        outcome = self.outcome(state, node, cpu)
        if outcome is None:
            return None
        assert node.step is not None
        if isinstance(outcome, Violation):
            return Transition(state, cpu, node.step, None, outcome)
        return Transition(state + outcome, cpu, node.step, self._compute(state, node, cpu)[1], None)

    def stillborn(self) -> Violation | None:
        """The violation of a task that goes wrong before its first step."""
        return next(filter(None, (_ended_badly(task.nodes[0]) for task in self.tasks)), None)

    def _compute(self, state: int, node: Node, cpu: int) -> tuple[Any, Any, Footprint]:
        """Outcome, result, and what was touched."""
        footprint = node.footprint
        changeable = footprint.writes | footprint.adds
        assert node.step is not None
        view = View(self.layout, state, footprint.reads | changeable, changeable)
        result, broken = self._performed(view, node, cpu)
        found, looked_at = self._watched(state, node, cpu)
        touched = footprint.narrowed(view.reads | looked_at, view.writes)
        broken = found or broken
        if broken is not None:
            return broken, None, touched
        if result is BLOCKED:
            # Other CPUs do not change whether it waits for itself, so nothing more is touched.
            waits = self._waits_for_itself(View(self.layout, state, -1, -1), cpu, node.step)
            return waits, None, touched
        following = self.tasks[cpu].after(node, result)
        bad = _ended_badly(self.tasks[cpu].nodes[following])
        if bad is not None:
            return bad, result, touched
        moved = (following - node.index) << self.layout.pc_shifts[cpu]
        return view.delta + moved, result, touched

    @staticmethod
    def _performed(view: View, node: Node, cpu: int) -> tuple[Any, Violation | None]:
        """Carry out the node's step on `view`: its result, and the rule that it broke."""
        assert node.step is not None
        where = node.answer.where
        try:
            return perform(view, cpu, node.step), None
        except ViolationSignal as signal:
            return None, Violation(signal.oracle, signal.message)
        except UndeclaredAccess as problem:
            raise UndeclaredAccess(f"cpu{cpu}: {problem}: {node.step!r}{at(where)}") from None
        except ScenarioTooSmall as problem:
            raise ScenarioTooSmall(f"{problem}{at(where)}") from None
        except Exception as problem:  # the step's arguments come from the task: anything
            return None, Violation("mistake", cannot_happen(cpu, node.step, where, problem))

    def _watched(self, state: int, node: Node, cpu: int) -> tuple[Violation | None, int]:
        """What the watches find wrong with the step, and the cells that they looked at."""
        assert node.step is not None
        footprint, looked_at = node.footprint, 0
        changeable = footprint.writes | footprint.adds
        for watch in self.watches:
            look = View(self.layout, state, footprint.reads | changeable | node.looks, changeable)
            found = watch.judge(look, cpu, node.step, node.answer.where)
            looked_at |= look.reads
            if found is not None:
                return found, looked_at
        return None, looked_at

    @staticmethod
    def _waits_for_itself(view: View, cpu: int, step: Step) -> Violation | None:
        """The violation of a blocked step that waits for what its own CPU holds.

        Other CPUs may go on; this one never will.
        """
        known = OPERATIONS[step.op]
        if cpu not in known.holders(view, cpu, *step.args):
            return None
        return Violation(
            "deadlock",
            f"cpu{cpu}: waits for {known.awaits(view, cpu, *step.args)}, held by cpu{cpu} itself, "
            "so it can never go on. "
            "Release that first, or do not take it twice.",
        )

    def _looks_at(self, cpu: int, step: Step) -> int:
        looks = 0
        for watch in self.watches:
            looks |= watch.looks_at(cpu, step)
        return looks

    def tell(self, before: int, taken: Transition) -> str:
        """In a few words, what a step did, e.g.

        `P3: F0 rw -> F0 ro`; of a step that has nothing to tell, its name.
        """
        known = OPERATIONS[taken.step.op]
        if taken.violation is not None:
            return taken.violation.message
        told = known.tell(
            self.layout, before, taken.state, taken.cpu, taken.result, *taken.step.args
        )
        return told or ", ".join(part.op for part in parts(taken.step))

    def verify(self) -> None:
        """Run all code again, and ask the program's own `verify`.

        Raises NondeterminismError if any task asks for other steps.
        """
        for task in self.tasks:
            task.verify()
        self._verify()


def _ended_badly(node: Node) -> Violation | None:
    if node.answer.ended in ("failed", "mistake"):
        return Violation(
            "exception" if node.answer.ended == "failed" else "mistake", node.answer.message
        )
    return None


def _cpus(cpus: Sequence[int]) -> str:
    return " and ".join(f"cpu{cpu}" for cpu in dict.fromkeys(cpus))


def _cycle(waits_for: dict[int, tuple[int, ...]]) -> list[int]:
    """A cycle in the waits-for graph, starting at its lowest CPU, or []."""
    for start in sorted(waits_for):
        path, seen = [start], {start}
        while True:
            following = [other for other in waits_for.get(path[-1], ()) if other in waits_for]
            if start in following:
                return path
            fresh = [other for other in following if other not in seen]
            if not fresh:
                break
            path.append(fresh[0])
            seen.add(fresh[0])
    return []
