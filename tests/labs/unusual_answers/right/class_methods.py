"""Class methods, one of which is overridden in a subclass."""

from mmlocks.mm import *


class Plain:
    @classmethod
    async def prepare(cls, vma):
        return vma

    @classmethod
    async def copy(cls, mm, vma):
        vma = await cls.prepare(vma)
        tmp = await vm_area_dup(mm, vma)
        await copy_page_range(tmp, vma)


class Fixed(Plain):
    @classmethod
    async def prepare(cls, vma):
        await vma_start_write(vma)
        return await super().prepare(vma)


async def dup_mmap(mm, oldmm):
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await Fixed.copy(mm, mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
