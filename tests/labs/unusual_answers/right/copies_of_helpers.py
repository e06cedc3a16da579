"""copy.copy, copy.deepcopy and json of the answer's own plain data, between awaits."""

import copy
import json

from mmlocks.mm import *

TEMPLATE = {"stages": ["lock", "copy"], "done": []}


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        plan = copy.deepcopy(TEMPLATE)
        for stage in copy.copy(plan["stages"]):
            if stage == "lock":
                await vma_start_write(mpnt)
            else:
                await copy_page_range(await vm_area_dup(mm, mpnt), mpnt)
            plan["done"].append(stage)
        assert json.loads(json.dumps(plan))["done"] == ["lock", "copy"]
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
