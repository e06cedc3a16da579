"""anon_vma: where a VMA's anonymous pages are filed, so that all mappings of a page can be found.

Several VMAs share an anon_vma when they once were one VMA, or may become one. A forked child's
VMA is linked to its parent's anon_vmas, where the pages are filed that both still share. It also
gets an anon_vma of its own for its new pages. All anon_vmas to look into are the VMA's *chain*.
Two VMAs may merge only if their anon_vmas fit together (see merge).
"""

from __future__ import annotations

from mmlocks.machine import Step, together
from mmlocks.mm.address import PAGE_SIZE
from mmlocks.mm.maple import find_vma, find_vma_before
from mmlocks.mm.mm_types import AnonVma, Vma
from mmlocks.mm.vm_flags import VM_ACCESS_FLAGS


async def anon_vma_prepare(vma: Vma) -> None:
    """Give a VMA its anon_vma before its first anonymous page is mapped.

    Kernel:  mm/rmap.c __anon_vma_prepare().
    Locks:   mmap_lock for reading (or writing), to look at the neighbours; takes page_table_lock
             to set the field.
    Races:   another fault on the same VMA; the second look under page_table_lock settles it.
    Differs: takes no anon_vma lock (see AnonVma), so the link is made before the field is set.
             Linux makes it after.
    """
    if await vma.anon_vma is not None:
        return
    found = await find_mergeable_anon_vma(vma)
    lock = vma.vm_mm.page_table_lock
    # The field is set only under this lock, so both are one step.
    _, now = await together(lock.lock(), vma.anon_vma)
    if now is None:
        anon_vma = found or await anon_vma_alloc(vma)
        # A fault that finds the anon_vma is linked to it. All others wait for page_table_lock.
        await together(
            anon_vma.get(),
            vma.anon_vma_chain.set((anon_vma,)),
            vma.anon_vma.set(anon_vma),
            lock.unlock(),
        )
    else:
        await lock.unlock()


async def find_mergeable_anon_vma(vma: Vma) -> AnonVma | None:
    """The anon_vma of a neighbour that may merge with this VMA one day: the next or the previous.

    Kernel:  mm/mmap.c find_mergeable_anon_vma(), anon_vma_compatible(), reusable_anon_vma().
    Locks:   mmap_lock for reading: *this VMA's lock does not cover its neighbours*.
    Differs: looks at a neighbour in one step. Up to 6.4.0 a stack grows under mmap_lock held for
             reading, and Linux can see that half way.
    """
    start, end, pgoff, flags, file = await together(
        vma.vm_start, vma.vm_end, vma.vm_pgoff, vma.vm_flags, vma.vm_file
    )
    for find, edge in ((find_vma, end), (find_vma_before, start)):
        neighbour = await find(vma.vm_mm, edge)
        if neighbour is None:
            continue
        # anon_vma and its chain are set in one step, so they always fit together.
        low, high, offset, theirs, backing, anon_vma, chain = await together(
            neighbour.vm_start,
            neighbour.vm_end,
            neighbour.vm_pgoff,
            neighbour.vm_flags,
            neighbour.vm_file,
            neighbour.anon_vma,
            neighbour.anon_vma_chain,
        )
        touches = low == end or high == start
        in_line = offset - pgoff == (low - start) // PAGE_SIZE
        alike = (flags ^ theirs) & ~VM_ACCESS_FLAGS == 0 and backing is file
        if touches and in_line and alike and anon_vma is not None and len(chain) == 1:
            reused: AnonVma = anon_vma
            return reused
    return None


async def anon_vma_alloc(vma: Vma) -> AnonVma:
    """A fresh anon_vma (mm/rmap.c anon_vma_alloc)."""
    anon_vma: AnonVma = await anon_vma_alloc_step(vma)
    return anon_vma


def anon_vma_alloc_step(vma: Vma) -> Step:
    """The step inside `anon_vma_alloc`; its result is the anon_vma."""
    return Step("anon_vma_alloc", (vma,))


async def anon_vma_clone(dst: Vma, src: Vma) -> None:
    """Link a VMA to all anon_vmas of another, of which it was a part, say (mm/rmap.c).

    Locks:   both VMAs write-locked, or not known to others yet.
    Differs: takes no anon_vma lock; see AnonVma.
    """
    chain = await src.anon_vma_chain
    await together(dst.anon_vma_chain.set(chain), *(anon_vma.get() for anon_vma in chain))


async def anon_vma_fork(vma: Vma, pvma: Vma) -> None:
    """Link a child's VMA to its parent's anon_vmas, and give it one for its own pages.

    Kernel:  mm/rmap.c anon_vma_fork().
    Locks:   the parent's mmap_lock for writing.
    Races:   a first fault on pvma, which gives it an anon_vma.
    Differs: a grandchild never takes over an anon_vma that its VMAs have left. Takes no anon_vma
             lock; see AnonVma.
    """
    if await pvma.anon_vma is None:
        return
    await anon_vma_clone(vma, pvma)
    own = await anon_vma_alloc(vma)
    chain = await vma.anon_vma_chain
    await together(vma.anon_vma.set(own), vma.anon_vma_chain.set((*chain, own)), own.get())


async def unlink_anon_vmas(vma: Vma) -> None:
    """Unlink a VMA from all its anon_vmas (mm/rmap.c unlink_anon_vmas).

    Locks:   mmap_lock for writing and the VMA write-locked; or others do not know it any more.
    Differs: takes no anon_vma lock; see AnonVma.
    """
    chain = await vma.anon_vma_chain
    if chain:
        await together(
            vma.anon_vma.set(None),
            vma.anon_vma_chain.set(()),
            *(anon_vma.put() for anon_vma in chain),
        )
