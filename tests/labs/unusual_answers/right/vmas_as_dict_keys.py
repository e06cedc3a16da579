"""A dict from each VMA to its copy is filled by a comprehension and walked while it is awaited."""

from collections import OrderedDict, defaultdict

from mmlocks.mm import *


async def duplicate(mm, vma):
    await vma_start_write(vma)
    tmp = await vm_area_dup(mm, vma)
    await copy_page_range(tmp, vma)
    return tmp


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    copies = {vma: await duplicate(mm, vma) for vma in await for_each_vma(oldmm)}
    owners = defaultdict(list)
    for old, new in OrderedDict(copies).items():
        owners[new.vm_mm].append(old)
    assert list(owners) == [mm]
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
