"""Page-table entries: kernel code changes one only under its lock; the hardware reads any time."""

from __future__ import annotations

from mmlocks.machine import Step
from mmlocks.mm.mm_types import Mm, Pte


def set_pte_at(mm: Mm, page: int, entry: Pte | None) -> Step:
    """The step that stores an entry. The caller holds its lock (kernel: set_pte_at).

    The referee looks on: if the entry begins to show other contents than the program has stored,
    a store is lost at this very step.
    """
    return Step("set_pte", (mm, page, entry))


def ptep_set_wrprotect(mm: Mm, page: int, entry: Pte) -> Step:
    """The step that makes an entry read-only, and touches no TLB (kernel: ptep_set_wrprotect).

    The caller holds the entry's lock.
    """
    return set_pte_at(mm, page, entry.wrprotected())
