"""The questions of lessons: name -> (question, options, index of the right one, why)."""

from __future__ import annotations

QUESTIONS: dict[str, tuple[str, tuple[str, ...], int, str]] = {
    "07-release-6.3": (
        "Set the player to release 6.3, where faults take mmap_lock. Can the store be lost there?",
        ("Yes, the TLBs are flushed late there too", "No", "Only with more CPUs"),
        1,
        "fork flushes the TLBs late in 6.3 as well, but no fault can copy the page before that "
        "flush: it waits for mmap_lock.",
    ),
    "07-how-many-threads": (
        "How many threads does it take to lose a store in this way, the forking one included?",
        ("One", "Two", "Three"),
        2,
        "One forks, one faults and copies, and one stores through its old translation. The last "
        "two must be different: a CPU that faults on a page drops its own translation of it. A "
        "program with one thread was never in danger.",
    ),
    "07-where-to-lock": (
        "You may add one call of vma_start_write(mpnt) to dup_mmap. It waits until no CPU reads "
        "the VMA, and lets no fault in until mmap_lock is given up. Where?",
        (
            "Before the VMA's pages are copied",
            "After the VMA's pages are copied",
            "Before the flush at the end, for each VMA again",
        ),
        0,
        "Once copy_page_range has made the first page read-only, a fault may copy it. So the lock "
        "must be there before. It ends with mmap_write_unlock, which comes after the flush.",
    ),
    "07-only-flush": (
        "A colleague says: no lock needed, just flush the TLBs each time a page is made read-only. "
        "What do you say?",
        (
            "Right, and it is cheaper",
            "It cures the lost store and nothing else",
            "Stores are still lost",
        ),
        1,
        "With the translation gone, cpu1's store faults and waits for the page-table lock, so no "
        "store is lost. But faults still run during fork, so the child's snapshot can still be "
        "torn; and a flush per page interrupts all CPUs each time.",
    ),
}
