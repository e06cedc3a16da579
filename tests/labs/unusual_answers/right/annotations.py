"""Everything is annotated, with `from __future__ import annotations`, a Protocol, a TypedDict and a type alias."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeAlias, TypedDict

from mmlocks.mm import *

Lock: TypeAlias = Callable[[Vma], Awaitable[None]]


class Locker(Protocol):
    async def __call__(self, vma: Vma) -> None: ...


class Options(TypedDict, total=False):
    lock: Locker
    verbose: bool


DEFAULTS: Final[Options] = {"lock": vma_start_write, "verbose": False}


async def share(child: Mm, vma: Vma, options: Options = DEFAULTS) -> Vma | None:
    await options["lock"](vma)
    copy: Vma = await vm_area_dup(child, vma)
    await copy_page_range(copy, vma)
    return copy


async def dup_mmap(mm: Mm, oldmm: Mm) -> None:
    await mmap_write_lock(oldmm)
    mpnt: Vma
    for mpnt in await for_each_vma(oldmm):
        await share(mm, mpnt)
    await flush_tlb_mm(oldmm)
    await mmap_write_unlock(oldmm)
