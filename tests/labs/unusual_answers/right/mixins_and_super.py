"""Cooperative super() calls along a diamond of mixins."""

from mmlocks.mm import *


class Base:
    async def visit(self, mm, vma):
        return await vm_area_dup(mm, vma)


class Copies(Base):
    async def visit(self, mm, vma):
        tmp = await super().visit(mm, vma)
        await copy_page_range(tmp, vma)
        return tmp


class Locks(Base):
    async def visit(self, mm, vma):
        await vma_start_write(vma)
        return await super().visit(mm, vma)


class Visitor(Copies, Locks):
    pass


async def dup_mmap(mm, oldmm):
    visitor = Visitor()
    await mmap_write_lock(oldmm)
    for mpnt in await for_each_vma(oldmm):
        await visitor.visit(mm, mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
