"""Speculative page faults, the road not taken: a fault that holds no lock until it commits.

Every address space counts how often it is write-locked and unlocked: the count is odd while
mmap_lock is held for writing. A fault reads the count, copies the VMA inside an RCU section, works
from the copy, and compares the count again before it touches the page table. If it has changed,
the fault drops what it has and begins anew under mmap_lock. (Proposed by Michel Lespinasse on top
of 5.17-rc1, v2 of 2022-01-28; others had tried before. It never came in; locks per VMA did, in
6.4.)

Why fork is safe here: it holds mmap_lock for writing from before the first page until the TLBs are
flushed. A fault that looks at the count in that time abandons. A fault that looked before holds the
page's page-table lock as it does so, and fork finds that page done. munmap and mprotect wait for it
at the same lock: they visit each page after the count became odd.

The count does not tell what happens under mmap_lock held *for reading*: MADV_DONTNEED, which
page-table locks keep in order, and, up to 6.4.0, a stack that grows. Its vm_start and vm_pgoff move
one after the other, so a copy can have a new one and an old one. The search finds that
(stack_expand_fault), and finds it without speculation as well, in 6.1's slow path.

What it wins: an undisturbed fault writes to no lock but its page's, not even to a count of readers.
What it costs: one count stands for the whole address space, so fork or mmap makes faults far away
abandon, perhaps after they have allocated and copied. A fault takes more steps, as it reads the VMA
field by field and the count again and again. And the code of the fault exists twice.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from mmlocks.machine import Layout, Step, View, operation, together
from mmlocks.machine.step import Footprint, touching
from mmlocks.machine.wire import travels
from mmlocks.mm.address import PAGE_SIZE, page_of
from mmlocks.mm.filing import linear_page_index
from mmlocks.mm.frames import folio_put, put_step, vma_alloc_folio
from mmlocks.mm.maple import mas_walk
from mmlocks.mm.mm_types import AnonVma, File, Frame, Mm, Pte, Vma
from mmlocks.mm.pagetable import set_pte_at
from mmlocks.mm.steps.rmap import Filing, file_under
from mmlocks.mm.tlb import flush_tlb_page
from mmlocks.mm.vm_flags import FAULT_FLAG_WRITE, VM_ACCESS_FLAGS, VM_WRITE


@travels
class Pvma(NamedTuple):
    """A private copy of the fields of `vma` that a fault needs."""

    vma: Vma
    start: int
    pgoff: int
    flags: int
    file: File | None
    anon_vma: AnonVma | None
    chain: tuple[AnonVma, ...]


async def do_speculative_fault(mm: Mm, address: int, flags: int) -> bool:
    """Handle a fault without mmap_lock; False if it abandoned, and nothing was changed.

    Kernel:  arch/x86/mm/fault.c do_user_addr_fault() in v2, and the speculative branches of
             mm/memory.c handle_pte_fault().
    Locks:   none on entry or exit; the page-table lock for the commit.
    Races:   everything. A value read before pte_map_lock succeeds may be out of date.
    Differs: page tables are never freed, so interrupts may stay on during a walk. A process of one
             thread speculates, too.
    """
    seq = await mm.mm_seq
    if seq % 2 == 1:
        return False
    vma = await copy_vma_under_rcu(mm, address)
    # The copy is torn if a writer came while we read. If the count has not moved, none came that
    # holds mmap_lock for writing.
    if vma is None or not await mmap_seq_read_check(mm, seq):
        return False
    if vma.file is not None or not vma.flags & (
        VM_WRITE if flags & FAULT_FLAG_WRITE else VM_ACCESS_FLAGS
    ):
        return False  # the slow path does files, and sends signals
    page = page_of(address)
    entry = await mm.page_table.pte[page]
    if entry is None:
        return await speculative_anonymous_page(mm, vma, page, flags, seq)
    if flags & FAULT_FLAG_WRITE and not entry.write:
        return await speculative_wp_page(mm, vma, page, entry, seq)
    return True  # another CPU was faster; the access is tried again


async def copy_vma_under_rcu(mm: Mm, address: int) -> Pvma | None:
    """The fields of the VMA at `address`, read one by one.

    None if there is no VMA, or only a stack that would have to grow.

    Locks:   none. The RCU section keeps the VMA from being freed, and from nothing else.
    Races:   every write to a field, between any two of the reads.
    """
    vma: Vma | None
    # To enter the section before the first look inside it protects nothing more.
    _, vma = await together(mm.rcu.read_lock(), mas_walk(mm, address))
    if vma is None:
        await mm.rcu.read_unlock()
        return None
    start, file = await together(vma.vm_start, vma.vm_file)  # vm_file never changes
    flags = await vma.vm_flags
    anon_vma, chain = await together(
        vma.anon_vma, vma.anon_vma_chain
    )  # the chain is only the referee's
    pgoff = await vma.vm_pgoff
    await mm.rcu.read_unlock()
    return Pvma(vma, start, pgoff, flags, file, anon_vma, chain)


async def mmap_seq_read_check(mm: Mm, seq: int) -> bool:
    """Whether the count is still `seq`: mmap_lock was not held for writing since then.

    Kernel:  include/linux/mmap_lock.h in v2.
    """
    return await mm.mm_seq == seq


async def pte_map_lock(mm: Mm, page: int, seq: int) -> bool:
    """Lock a page's entry if the count is still `seq`; False otherwise. Never blocks.

    Kernel:  mm/memory.c pte_map_lock() and pte_spinlock() in v2.
    Locks:   on True, the page-table lock.
    Races:   a writer between the first look and the lock. The second look is the one that counts:
             a writer that comes after it finds this page's lock taken, and waits.
    """
    if not await mmap_seq_read_check(mm, seq):
        return False
    # Linux must not wait here: interrupts are off, and the lock's holder may be waiting for this
    # CPU to flush its TLB.
    if not await mm.page_table.ptl[page].try_lock():
        return False
    if not await mmap_seq_read_check(mm, seq):
        await mm.page_table.ptl[page].unlock()
        return False
    return True


async def speculative_anonymous_page(mm: Mm, vma: Pvma, page: int, flags: int, seq: int) -> bool:
    """First touch of a page, as do_anonymous_page; False if it abandoned.

    Kernel:  mm/memory.c do_anonymous_page() in v2.
    Locks:   takes the page-table lock. A VMA gets its anon_vma under mmap_lock, so the slow path
             does the first store to each VMA.
    """
    writes, table = bool(flags & FAULT_FLAG_WRITE), mm.page_table
    new = mm.memory.zero
    if writes:
        if vma.anon_vma is None:
            return False
        new = await vma_alloc_folio(mm, page, None)
    if not await pte_map_lock(mm, page, seq):
        await folio_put(mm.memory, new)
        return False
    if await table.pte[page] is not None:
        await table.ptl[page].unlock()
        await folio_put(mm.memory, new)
        return True
    # As in do_anonymous_page.
    filed = [add_new_anon_rmap(new, vma, page)] if writes else []
    await together(*filed, set_pte_at(mm, page, Pte(new, writes)), table.ptl[page].unlock())
    return True


async def speculative_wp_page(mm: Mm, vma: Pvma, page: int, entry: Pte, seq: int) -> bool:
    """A store to a read-only entry, as do_wp_page and wp_page_copy; False if it abandoned.

    Kernel:  mm/memory.c do_wp_page() and wp_page_copy() in v2.
    Locks:   takes the page-table lock, and twice to copy a frame; in between, a reference keeps the
             old frame alive.
    """
    table, old = mm.page_table, entry.frame
    if vma.anon_vma is None:
        return False
    if old is not mm.memory.zero:
        if not await pte_map_lock(mm, page, seq):
            return False
        now, count = await together(table.pte[page], old.refcount)  # under the lock of the entry
        if now != entry:
            await table.ptl[page].unlock()
            return True
        if count == 1:
            await together(set_pte_at(mm, page, Pte(old, True)), table.ptl[page].unlock())
            return True
        await together(old.refcount.add(1), table.ptl[page].unlock())
    new = await vma_alloc_folio(mm, page, None if old is mm.memory.zero else old)
    locked = await pte_map_lock(mm, page, seq)
    if not locked or await table.pte[page] != entry:
        if locked:
            await table.ptl[page].unlock()
        await folio_put(mm.memory, new)
        await folio_put(mm.memory, old)
        return locked
    # As in wp_page_copy: the flush comes before others can have the lock.
    await together(
        set_pte_at(mm, page, None),
        flush_tlb_page(mm, page),
        add_new_anon_rmap(new, vma, page),
        set_pte_at(mm, page, Pte(new, True)),
    )
    if old is mm.memory.zero:
        await table.ptl[page].unlock()
        return True
    await together(put_step(old), table.ptl[page].unlock())  # the page table's reference
    await folio_put(mm.memory, old)  # our own
    return True


def add_new_anon_rmap(folio: Frame, vma: Pvma, page: int) -> Step:
    """As folio_add_new_anon_rmap, but by the copy, even if the VMA has changed since."""
    index = linear_page_index(vma.pgoff, vma.start, page * PAGE_SIZE)
    return Step("file_by_copy", (folio, page, index, vma.vma, vma.anon_vma, vma.chain))


def _file(view: View, cpu: int, folio: Frame, page: int, index: int, *filed: Any) -> None:
    filing = Filing(*filed)
    file_under(view, cpu, filing.vma.vm_mm, folio, page, index, filing)


def _file_touches(layout: Layout, cpu: int, folio: Frame, *_: Any) -> Footprint:
    return touching(writes=[folio.index.index, folio.mapping.index])


def _file_told(layout: Layout, before: int, after: int, cpu: int, result: None, *filed: Any) -> str:
    folio, _, index, _, anon_vma, _ = filed
    return f"files {folio} in {anon_vma} under index {index}"


operation("file_by_copy", _file_touches, _file, _file_told)
