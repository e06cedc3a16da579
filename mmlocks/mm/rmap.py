"""anon_vma: where a VMA's anonymous pages are filed, so that whoever wants to unmap a page finds who maps it.

Several VMAs share an anon_vma when they were one VMA once, or may become one. A forked child's VMA is linked to its parent's
anon_vmas, where the pages are filed that both still share, and gets one of its own for its new pages. That is what the
chain is: all anon_vmas to look into. Whether two VMAs may merge hangs on it, see merge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmlocks.machine import Cell, Layout, Record, Step, together
from mmlocks.mm.address import PAGE_SIZE
from mmlocks.mm.maple import find_vma, find_vma_before
from mmlocks.mm.rmap_steps import anon_vma_alloc_step
from mmlocks.mm.vm_flags import VM_ACCESS_FLAGS

if TYPE_CHECKING:
    from mmlocks.mm.vma import Vma


class AnonVma(Record):
    """The file of a family of VMAs (kernel: struct anon_vma). `refcount` is the number of VMAs linked to it; the last one frees it.

    Differs: it has no lock (kernel: root->rwsem). A walk from an anonymous frame to its VMAs would take that lock, and no function here makes
    such a walk. tests/mm/test_rmap_locks.py has one, and shows what it then misses.
    """

    def __init__(self, layout: Layout, name: str) -> None:
        super().__init__(layout, name)
        self.refcount = layout.counter(f"{name}.refcount", 0, bits=4)
        self.freed: Cell[bool] = layout.cell(f"{name}.freed", False, bits=1)
        layout.read_only([self.refcount])
        layout.hide([self.freed])

    def get(self) -> Step:
        """The step that links one VMA more (get_anon_vma)."""
        return Step("anon_vma_get", (self,))

    def put(self) -> Step:
        """The step that unlinks a VMA (put_anon_vma)."""
        return Step("anon_vma_put", (self,))


async def anon_vma_prepare(vma: Vma) -> None:
    """Give a VMA its anon_vma before its first anonymous page is mapped.

    Kernel:  mm/rmap.c __anon_vma_prepare().
    Locks:   mmap_lock for reading (or writing), as it looks at the neighbours; takes page_table_lock to set the field.
    Races:   another fault on the same VMA; the second look under page_table_lock settles it.
    Differs: takes no anon_vma lock; see AnonVma. So the link is made before the field is set, and not after.
    """
    if await vma.anon_vma is not None:
        return
    found = await find_mergeable_anon_vma(vma)
    lock = vma.vm_mm.page_table_lock
    _, now = await together(lock.lock(), vma.anon_vma)  # whoever sets it holds the lock as well
    if now is None:
        anon_vma = found or await anon_vma_alloc(vma)
        # A fault that finds the anon_vma finds itself linked to it. Everybody else waits for page_table_lock.
        await together(
            anon_vma.get(),
            vma.anon_vma_chain.set((anon_vma,)),
            vma.anon_vma.set(anon_vma),
            lock.unlock(),
        )
    else:
        await lock.unlock()


async def find_mergeable_anon_vma(vma: Vma) -> AnonVma | None:
    """The anon_vma of a neighbour with which this VMA might be merged one day: the next one's, else the previous one's.

    Kernel:  mm/mmap.c find_mergeable_anon_vma(), anon_vma_compatible(), reusable_anon_vma().
    Locks:   mmap_lock for reading: *the neighbours are not covered by this VMA's lock*.
    Differs: a neighbour is looked at in one step. Up to 6.4.0 a stack grows under mmap_lock held for reading, and Linux can see that half way.
    """
    start, end, pgoff, flags, file = await together(
        vma.vm_start, vma.vm_end, vma.vm_pgoff, vma.vm_flags, vma.vm_file
    )
    for find, edge in ((find_vma, end), (find_vma_before, start)):
        neighbour = await find(vma.vm_mm, edge)
        if neighbour is None:
            continue
        # anon_vma and its chain are set in one step. So whatever they are, they fit together.
        low, high, offset, theirs, backing, anon_vma, chain = await together(
            neighbour.vm_start, neighbour.vm_end, neighbour.vm_pgoff, neighbour.vm_flags, neighbour.vm_file,
            neighbour.anon_vma, neighbour.anon_vma_chain,
        )  # fmt: skip
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


async def anon_vma_clone(dst: Vma, src: Vma) -> None:
    """Link a VMA to all anon_vmas of another, e.g. because it was a part of it (mm/rmap.c anon_vma_clone).

    Locks:   both VMAs write-locked, or not yet known to anybody.
    Differs: takes no anon_vma lock; see AnonVma.
    """
    chain = await src.anon_vma_chain
    await together(dst.anon_vma_chain.set(chain), *(anon_vma.get() for anon_vma in chain))


async def anon_vma_fork(vma: Vma, pvma: Vma) -> None:
    """Link a child's VMA to its parent's anon_vmas, and give it one for pages of its own.

    Kernel:  mm/rmap.c anon_vma_fork().
    Locks:   the parent's mmap_lock for writing.
    Races:   a first fault on pvma, which gives it an anon_vma.
    Differs: an anon_vma that its VMAs have left is never taken over by a grandchild. Takes no anon_vma lock; see AnonVma.
    """
    if await pvma.anon_vma is None:
        return
    await anon_vma_clone(vma, pvma)
    own = await anon_vma_alloc(vma)
    chain = await vma.anon_vma_chain
    await together(vma.anon_vma.set(own), vma.anon_vma_chain.set((*chain, own)), own.get())


async def unlink_anon_vmas(vma: Vma) -> None:
    """Take a VMA out of all files (mm/rmap.c unlink_anon_vmas).

    Locks:   mmap_lock for writing and the VMA write-locked; or nobody else knows the VMA any more.
    Differs: takes no anon_vma lock; see AnonVma.
    """
    chain = await vma.anon_vma_chain
    if chain:
        await together(
            vma.anon_vma.set(None),
            vma.anon_vma_chain.set(()),
            *(anon_vma.put() for anon_vma in chain),
        )
