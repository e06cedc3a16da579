"""Lab 07: fork against page faults, the bug that 6.4.3 fixed with one line."""

from __future__ import annotations

from mmlocks.errors import ScenarioTooSmall, Undecided
from mmlocks.labs.checks import must_be_safe
from mmlocks.labs.cost import CPUS, left_alone, others_for, overlap
from mmlocks.labs.lab import Check, CheckResult, Examination, Finding, Lab
from mmlocks.mm.kernel import Kernel
from mmlocks.releases import RELEASES
from mmlocks.scenarios.fork_somewhere import somewhere
from mmlocks.sentences import counted

FLUSHES = 1
"""6.4.0 flushes the TLBs once in a fork, whatever the number of VMAs."""


def must_be_cheap(examination: Examination, check: Check) -> CheckResult:
    """A check of what a safe answer costs: a fault elsewhere must not wait for fork, one TLB flush must do, and no page is copied at once."""
    for other in examination.lab.checks:
        if other is not check:
            result = other.judge(examination, other)
            if not result.passed:
                message = f"Cost is judged once the answer is safe. First make {other.name!r} hold."
                return CheckResult(check, result.finding, message, 0)
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
            "Safe, but in no interleaving can a first store to one VMA finish while fork holds mmap_lock, has copied the other VMA and has "
            f"yet to come to this one, in either order ({witness.states:,} states searched, all of them): the fault waits for the whole "
            "of fork. That is what per-VMA locks were made to avoid. Lock each VMA only when fork comes to it.",
        )
    for others in (0, more):
        try:
            forks = [left_alone(kernel, cpus, others) for cpus in CPUS]
        except (ScenarioTooSmall, Undecided) as problem:
            return found(
                Finding.UNPROVED,
                f"A fork that nobody disturbs could not be followed to its end: {problem}.",
            )
        if not all(fork.ended for fork in forks):
            return found(
                Finding.WRONG,
                "Left alone, fork never ends: it waits for what other CPUs are to do, and nothing says that they ever will.",
            )
        flushes = max(fork.count("flush_tlb") for fork in forks)
        if flushes > FLUSHES:
            return found(
                Finding.COSTLY,
                f"Safe, but fork flushes the TLBs {flushes} times where 6.4.0 does it once. Each flush interrupts every CPU that "
                "runs the process. One flush at the end is enough once no fault can come in between.",
            )
        copies = max(fork.count("alloc_folio") for fork in forks)
        if copies:
            return found(
                Finding.COSTLY,
                f"Safe, but fork allocates {counted(copies, 'frame')} where 6.4.0 allocates none: it copies pages that parent and child could share "
                "until one of them stores to it. Share the frames, read-only.",
            )
    message = (
        f"A store to another VMA can finish while fork is under way (the shortest way takes {len(witness.schedule or ())} steps), "
        f"and fork flushes the TLBs {'once' if flushes == 1 else 'not at all'}. {safe.message}"
    )
    return CheckResult(check, Finding.CORRECT, message, check.points, safe.searched)


def compare_with_linux(kernel: Kernel) -> str:
    """How a correct answer's fork differs from that of 6.4.3."""
    linux = Kernel(RELEASES["6.4.3"])
    others = sorted(set(kernel.replacements) - {"dup_mmap"})
    ours, theirs = left_alone(kernel).operations, left_alone(linux).operations
    if ours == theirs and not others:
        return "Left alone, your fork does operation by operation what that of Linux 6.4.3 does (fb49c455323f)."
    said = "Linux 6.4.3 does it otherwise: dup_mmap write-locks each parent VMA first thing in the loop (fb49c455323f)."
    if ours != theirs:
        said += f" Left alone, your fork takes {len(ours)} operations and Linux's {len(theirs)}."
    if others:
        said += f" You also replaced {', '.join(others)}, which Linux left as it was."
    return said


LAB07 = Lab(
    name="lab07_fork_vs_fault",
    title="fork against page faults",
    release="6.4.0",
    functions=("dup_mmap",),
    checks=(
        Check("lab07", "lost_store", 4, "No completed store is lost while another thread forks.", must_be_safe, ("fork_lost_store",),
              elsewhere=("fork_elsewhere",), made_for=somewhere, breaks_nothing=True),
        Check("lab07", "snapshot", 2, "The child's memory is the parent's at one moment, as it was up to 6.3.", must_be_safe,
              ("fork_torn_snapshot", "fork_torn_across_vmas"), elsewhere=("fork_elsewhere",)),
        Check("lab07", "reproducer", 2, "The program from the bug report reads back what it wrote.", must_be_safe, ("young_reproducer",)),
        Check("lab07", "cost", 2, "A fault in another VMA need not wait for fork, and fork flushes the TLBs once.", must_be_cheap,
              ("fork_other_vma",)),
    ),
    hints=(
        "Plan: from the moment at which fork makes a page read-only until all TLBs are flushed, no page fault may replace that "
        "page. Up to 6.3 mmap_lock kept faults out. Which lock do they take now, and what keeps them out of that?",
        "Place: in the loop over the parent's VMAs, before the first page of the VMA is copied. What you lock there must stay "
        "locked until after flush_tlb_mm; look at what mmap_write_unlock does besides unlocking mmap_lock.",
        "Nearly the code: one line, `await vma_start_write(...)`, with the parent's VMA of this turn of the loop. There is nothing "
        "to unlock: the write lock ends when mmap_write_unlock counts mm_lock_seq up.",
    ),
    compare=compare_with_linux,
)  # fmt: skip
