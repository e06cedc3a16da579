"""What a fork costs: which faults wait for it, how often it flushes TLBs, what it copies."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from mmlocks.errors import ScenarioTooSmall, Undecided
from mmlocks.labs.checks import must_be_safe
from mmlocks.labs.lab import Check, CheckResult, Examination, Finding
from mmlocks.machine import Machine, Run
from mmlocks.machine.step import parts
from mmlocks.mm.kernel import Kernel
from mmlocks.mm.world import World
from mmlocks.releases import RELEASES
from mmlocks.scenarios import asked, machine_for
from mmlocks.scenarios.checking import merged_rightly
from mmlocks.scenarios.fork_somewhere import number_of, somewhere
from mmlocks.scenarios.fork_variants import LOWER, OTHERS, UPPER, beside
from mmlocks.search import Budget, Progress, Witness, possible
from mmlocks.sentences import counted

__all__ = ["compare_with_linux", "must_be_cheap", "somewhere"]
"""What lab.toml names."""

FLUSHES = 1
"""6.4.0 flushes the TLBs once in a fork, whatever the number of VMAs."""
ORDERS = ((LOWER[0], UPPER[1], UPPER[0]), (UPPER[1], LOWER[0], LOWER[1]))
"""For each order of the two VMAs: the page that fork copies first, an untouched page of the other
VMA, and the page of that VMA which the fault stores to."""
CPUS = (1, 2, 3)
"""An undisturbed fork is followed where it is alone, and beside other CPUs that do nothing."""


def must_be_cheap(examination: Examination, check: Check) -> CheckResult:
    """Check what a safe answer costs.

    A fault in another VMA must not wait for fork, one TLB flush must do, and fork copies no page
    at once.
    """
    safe = must_be_safe(examination, check)
    if not safe.passed:
        return safe

    def found(finding: Finding, message: str) -> CheckResult:
        return CheckResult(check, finding, message, 0, safe.searched)

    kernel, more = examination.kernel, others_for(examination.kernel)
    witness = overlap(kernel, examination.budget, examination.progress)
    if witness.found:
        witness = overlap(kernel, examination.budget, examination.progress, more)
    if witness.found is None:
        return found(
            Finding.UNPROVED, f"The search for an overlap stopped early: {witness.reason}."
        )
    if not witness.found:
        return found(
            Finding.COSTLY,
            "Safe, but in no interleaving can a first store to one VMA finish while fork holds "
            "mmap_lock, has copied the other VMA and has yet to come to this one, in either order "
            f"({witness.states:,} states searched, all of them): the fault waits for the whole of "
            "fork. That is what per-VMA locks were made to avoid. Lock each VMA only when fork "
            "comes to it.",
        )
    for others in (0, more):
        try:
            forks = [left_alone(kernel, cpus, others) for cpus in CPUS]
        except (ScenarioTooSmall, Undecided) as problem:
            return found(
                Finding.UNPROVED,
                f"An undisturbed fork could not be followed to its end: {problem}.",
            )
        if not all(fork.ended for fork in forks):
            return found(
                Finding.WRONG,
                "Left alone, fork never ends: it waits for what other CPUs are to do, and nothing "
                "says that they ever will.",
            )
        flushes = max(fork.count("flush_tlb") for fork in forks)
        if flushes > FLUSHES:
            return found(
                Finding.COSTLY,
                f"Safe, but fork flushes the TLBs {flushes} times where 6.4.0 does it once. Each "
                "flush interrupts every CPU that runs the process. One flush at the end is enough "
                "once no fault can come in between.",
            )
        copies = max(fork.count("alloc_folio") for fork in forks)
        if copies:
            return found(
                Finding.COSTLY,
                f"Safe, but fork allocates {counted(copies, 'frame')} where 6.4.0 allocates none: "
                "it copies pages that parent and child could share until one of them stores to "
                "it. Share the frames, read-only.",
            )
    message = (
        "A store to another VMA can finish while fork is under way (the shortest way takes "
        f"{len(witness.schedule or ())} steps), and fork flushes the TLBs "
        f"{'once' if flushes == 1 else 'not at all'}. {safe.message}"
    )
    return CheckResult(check, Finding.CORRECT, message, check.points, safe.searched)


def compare_with_linux(kernel: Kernel) -> str:
    """How a correct answer's fork differs from that of 6.4.3."""
    linux = Kernel(RELEASES["6.4.3"])
    others = sorted(set(kernel.replacements) - {"dup_mmap"})
    ours, theirs = left_alone(kernel).operations, left_alone(linux).operations
    if ours == theirs and not others:
        return (
            "Left alone, your fork does operation by operation what that of Linux 6.4.3 does "
            "(fb49c455323f)."
        )
    said = (
        "Linux 6.4.3 does it otherwise: dup_mmap write-locks each parent VMA first thing in the "
        "loop (fb49c455323f)."
    )
    if ours != theirs:
        said += f" Left alone, your fork takes {len(ours)} operations and Linux's {len(theirs)}."
    if others:
        said += f" You also replaced {', '.join(others)}, which Linux left as it was."
    return said


def overlap(
    kernel: Kernel, budget: Budget | None, progress: Progress | None, others: int = 0
) -> Witness:
    """Whether a fault in a VMA that fork has yet to come to can begin and end meanwhile.

    During the whole fault, fork holds mmap_lock, has copied one VMA, and has not touched the VMA
    of the fault. All three matter: fork also holds mmap_lock before it begins with the first VMA,
    and after it has unlocked all of them, when no fault waits whatever fork does. Either order of
    the two VMAs will do. The process has `others`, VMAs that no CPU touches.
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
    """Whether fork, on cpu0, is between two VMAs.

    It holds mmap_lock, has copied one page, and has not touched the other.
    """

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
    """The operations of an undisturbed fork, in their order, and whether it came to its end."""

    operations: tuple[str, ...]
    ended: bool

    def count(self, operation: str) -> int:
        """How often fork did that."""
        return self.operations.count(operation)


def others_for(kernel: Kernel) -> int:
    """How many VMAs there are besides when an answer's cost is judged a second time.

    The number follows from the answer's text, so the answer cannot count on it.
    """
    return 1 + number_of(kernel) % len(OTHERS)


def left_alone(kernel: Kernel, cpus: int = 1, others: int = 0) -> Alone:
    """Follow an undisturbed fork of two VMAs, and `others`.

    It ends when fork does, or when fork goes round in a circle because it waits for a CPU that
    does not run.
    """
    machine, _ = machine_for(asked(beside(cpus, UPPER[0], others)), kernel)
    run, seen = Run.of(machine), set[int]()
    while run.state not in seen and 0 in run.enabled():
        seen.add(run.state)
        run = run.step(0)
    operations = tuple(part.op for taken in run.taken for part in parts(taken.step))
    return Alone(operations, machine.done(run.state, 0))
