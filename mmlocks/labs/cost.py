"""What a fork costs: who has to wait for it, how often it interrupts the other CPUs, and how much it copies."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from mmlocks.machine import Machine, Run
from mmlocks.machine.step import parts
from mmlocks.mm.kernel import Kernel
from mmlocks.mm.world import World
from mmlocks.scenarios import asked, machine_for
from mmlocks.scenarios.checking import merged_rightly
from mmlocks.scenarios.fork_somewhere import number_of
from mmlocks.scenarios.fork_variants import LOWER, OTHERS, UPPER, beside
from mmlocks.search import Budget, Progress, Witness, possible

ORDERS = ((LOWER[0], UPPER[1], UPPER[0]), (UPPER[1], LOWER[0], LOWER[1]))
"""In either order of the VMAs: the page that is copied first, the one in the other VMA, and the one there that a fault is about."""
CPUS = (1, 2, 3)
"""A fork that nobody disturbs is followed where it is alone, and where there are other CPUs that do nothing."""


def overlap(
    kernel: Kernel, budget: Budget | None, progress: Progress | None, others: int = 0
) -> Witness:
    """Whether a fault may begin and end while fork holds mmap_lock, has copied one VMA, and has not touched the one that the fault is in.

    Either order of the VMAs will do. All three have to be true all along the fault: mmap_lock is also held before fork begins with the first
    VMA, and after it has unlocked all of them, when no fault waits whatever fork does. The process has `others`, VMAs that nobody touches.
    """
    states = transitions = 0
    reasons = []
    for copied, untouched, fresh in ORDERS:
        overlapping = partial(
            _overlapping, copied=copied, untouched=untouched, budget=budget, progress=progress
        )
        witness = merged_rightly(asked(beside(2, fresh, others)), kernel, overlapping)
        states, transitions = states + witness.states, transitions + witness.transitions
        if witness.found:
            return witness
        if witness.found is None:
            reasons.append(witness.reason)
    return Witness(
        None if reasons else False, None, states, transitions, "; ".join(dict.fromkeys(reasons))
    )


def _overlapping(
    machine: Machine,
    world: World,
    copied: int,
    untouched: int,
    budget: Budget | None,
    progress: Progress | None,
) -> Witness:
    under_way = _UnderWay(machine, world, copied, untouched)
    witness = possible(
        machine,
        lambda state: machine.done(state, 1) and under_way(state),
        budget,
        progress,
        lambda state, cpu: cpu == 0 or under_way(state),
    )
    machine.verify()
    return witness


class _UnderWay:
    """Whether fork, on cpu0, is between two VMAs: it holds mmap_lock, has copied one page, and has not touched the other."""

    def __init__(self, machine: Machine, world: World, copied: int, untouched: int) -> None:
        parent, child = world.mm.page_table.pte, world.child.page_table.pte
        self._lock = world.mm.mmap_lock
        self._copied = parent[copied], child[copied]
        self._untouched = parent[untouched], child[untouched]
        self._before = machine.initial

    def __call__(self, state: int) -> bool:
        if self._lock.writer.of(state) != 1 and not self._lock.readers[0].of(state):
            return False
        return any(cell.of(state) != cell.of(self._before) for cell in self._copied) and all(
            cell.of(state) == cell.of(self._before) for cell in self._untouched
        )


class Alone(NamedTuple):
    """The operations of a fork that nobody disturbs, in their order, and whether it came to its end."""

    operations: tuple[str, ...]
    ended: bool

    def count(self, operation: str) -> int:
        """How often fork did that."""
        return self.operations.count(operation)


def others_for(kernel: Kernel) -> int:
    """How many VMAs more there are where an answer's cost is looked at a second time. It follows from the answer, which so cannot count on it."""
    return 1 + number_of(kernel) % len(OTHERS)


def left_alone(kernel: Kernel, cpus: int = 1, others: int = 0) -> Alone:
    """Follow a fork of two VMAs, and `others`, to its end, or until it goes round in a circle, for somebody who does not run."""
    machine, _ = machine_for(asked(beside(cpus, UPPER[0], others)), kernel)
    run, seen = Run.of(machine), set[int]()
    while run.state not in seen and 0 in run.enabled():
        seen.add(run.state)
        run = run.step(0)
    operations = tuple(part.op for taken in run.taken for part in parts(taken.step))
    return Alone(operations, machine.done(run.state, 0))
