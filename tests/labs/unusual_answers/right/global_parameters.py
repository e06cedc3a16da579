"""Global constants, a global flag and a dict of options steer the code; `globals()` and `locals()` are read."""

from mmlocks.mm import *

DEBUG = False
OPTIONS = {"lock": True, "flush": "once"}


async def dup_mmap(mm, oldmm):
    await globals()["mmap_write_lock"](oldmm)
    for mpnt in await for_each_vma(oldmm):
        if OPTIONS["lock"]:
            await vma_start_write(mpnt)
        tmp = await vm_area_dup(mm, mpnt)
        if DEBUG:
            print(sorted(locals()))
        await copy_page_range(tmp, mpnt)
    if OPTIONS["flush"] == "once":
        await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
