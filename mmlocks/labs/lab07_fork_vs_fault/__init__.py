"""Lab 07: fork against page faults, the bug that 6.4.3 fixed with one line."""

from __future__ import annotations

from mmlocks.labs.checks import must_be_safe
from mmlocks.labs.lab import Check, Lab
from mmlocks.labs.lab07_fork_vs_fault.cost import compare_with_linux, must_be_cheap
from mmlocks.scenarios.fork_somewhere import somewhere

LAB07 = Lab(
    name="lab07_fork_vs_fault",
    title="fork against page faults",
    release="6.4.0",
    functions=("dup_mmap",),
    checks=(
        Check(
            lab="lab07",
            name="lost_store",
            points=4,
            about="No completed store is lost while another thread forks.",
            judge=must_be_safe,
            scenarios=("fork_lost_store",),
            elsewhere=("fork_elsewhere",),
            made_for=somewhere,
            breaks_nothing=True,
        ),
        Check(
            lab="lab07",
            name="snapshot",
            points=2,
            about="The child's memory is the parent's at one moment, as it was up to 6.3.",
            judge=must_be_safe,
            scenarios=("fork_torn_snapshot", "fork_torn_across_vmas"),
            elsewhere=("fork_elsewhere",),
        ),
        Check(
            lab="lab07",
            name="reproducer",
            points=2,
            about="The program from the bug report reads back what it wrote.",
            judge=must_be_safe,
            scenarios=("young_reproducer",),
        ),
        Check(
            lab="lab07",
            name="cost",
            points=2,
            about="A fault in another VMA need not wait for fork, and fork flushes the TLBs once.",
            judge=must_be_cheap,
            scenarios=("fork_other_vma",),
        ),
    ),
    hints=(
        "Plan: from the moment at which fork makes a page read-only until all TLBs are flushed, no "
        "page fault may replace that page. Up to 6.3 mmap_lock kept faults out. Which lock do they "
        "take now, and what keeps them out of that?",
        "Place: in the loop over the parent's VMAs, before the first page of the VMA is copied. "
        "What you lock there must stay locked until after flush_tlb_mm; look at what "
        "mmap_write_unlock does besides unlocking mmap_lock.",
        "Nearly the code: one line, `await vma_start_write(...)`, with the parent's VMA of this "
        "turn of the loop. There is nothing to unlock: the write lock ends when mmap_write_unlock "
        "counts mm_lock_seq up.",
    ),
    compare=compare_with_linux,
)
