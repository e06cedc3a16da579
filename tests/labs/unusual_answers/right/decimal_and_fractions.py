"""Floats, Fractions and a Decimal as local variables over awaits, for a progress that is printed."""

from decimal import Decimal
from fractions import Fraction

from mmlocks.mm import *


async def dup_mmap(mm, oldmm):
    progress, share, percent = 0.0, Fraction(0), Decimal("0")
    await mmap_write_lock(oldmm)
    vmas = await for_each_vma(oldmm)
    for mpnt in vmas:
        await vma_start_write(mpnt)
        await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
        progress += 1 / len(vmas)
        share += Fraction(1, len(vmas))
        percent = Decimal(100) * share.numerator / share.denominator
        print(f"{progress:.0%} {share} {percent}")
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
