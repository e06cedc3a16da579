"""The hardware: a translation look-aside buffer per CPU, and the accesses that go through it.

A TLB remembers translations. To make a page-table entry read-only does not remove one. So a CPU
that has stored to a page can go on storing to the old frame until a flush. A CPU itself drops a
translation only when a store faults because of it.

Differs: translations are never evicted by themselves, and a flush reaches all CPUs in one step
(Linux sends interrupts and waits for every CPU; each flush can be thought of as done then).
"""

from __future__ import annotations

from typing import Any

from mmlocks.machine import Step
from mmlocks.mm.mm_types import Mm


def mmu_store(mm: Mm, address: int, value: Any) -> Step:
    """The step of a store instruction: True if it was completed, False if it faulted."""
    return Step("mmu_store", (mm, address, value))


def mmu_load(mm: Mm, address: int) -> Step:
    """The step of a load instruction: the value in a tuple, or () if it faulted."""
    return Step("mmu_load", (mm, address))


def mmu_fetch_add(mm: Mm, address: int, n: int) -> Step:
    """The step of an atomic add (x86 `lock xadd`): the old value in a tuple, () if it faulted."""
    return Step("mmu_fetch_add", (mm, address, n))


def flush_tlb_mm(mm: Mm) -> Step:
    """The step that drops all translations of an address space on all CPUs (arch/x86/mm/tlb.c)."""
    return Step("flush_tlb", (mm, None))


def flush_tlb_page(mm: Mm, page: int) -> Step:
    """The step that drops the translations of one page on all CPUs (arch/x86/mm/tlb.c)."""
    return Step("flush_tlb", (mm, (page,)))


def flush_tlb_pages(mm: Mm, pages: tuple[int, ...]) -> Step:
    """The step that drops the translations of some pages on all CPUs (flush_tlb_mm_range)."""
    return Step("flush_tlb", (mm, pages))
