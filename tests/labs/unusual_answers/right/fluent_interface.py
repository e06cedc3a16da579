"""A chain of method calls builds a plan, which is run at its end; methods return self."""

from mmlocks.mm import *


class Plan:
    def __init__(self):
        self._steps = []

    def then(self, function, *args):
        self._steps.append((function, args))
        return self

    async def run(self):
        results = []
        for function, args in self._steps:
            results.append(await function(*(arg() if callable(arg) else arg for arg in args)))
        return results


async def dup_mmap(mm, oldmm):
    copies = []

    async def duplicate(vma):
        copies.append(await vm_area_dup(mm, vma))

    plan = Plan().then(mmap_write_lock, oldmm)
    await plan.run()
    plan = Plan()
    for mpnt in await for_each_vma(oldmm):
        plan.then(vma_start_write, mpnt).then(duplicate, mpnt).then(
            copy_page_range, lambda: copies[-1], mpnt
        )
    await plan.then(flush_tlb_mm, oldmm).then(mmap_write_unlock, oldmm).run()
