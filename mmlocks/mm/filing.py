"""Filing: an anonymous frame records where to find the page-table entries that map it.

The way leads from the frame to its anon_vma, from there to the VMAs that are linked to it, and in
each of them by the frame's index to the page (kernel: mm/rmap.c).
"""

from __future__ import annotations

from mmlocks.machine import Step
from mmlocks.mm.address import PAGE_SIZE
from mmlocks.mm.mm_types import Frame, Vma


def linear_page_index(pgoff: int, start: int, address: int) -> int:
    """The index under which a VMA files its page at `address` (include/linux/pagemap.h).

    It stays the same when the VMA's start moves, as vm_pgoff moves with it.
    """
    return pgoff + (address - start) // PAGE_SIZE


def folio_add_new_anon_rmap(folio: Frame, vma: Vma, page: int, start: int) -> Step:
    """The step that files a new anonymous frame in the VMA's anon_vma, under the page's index.

    Kernel:  mm/rmap.c page_add_new_anon_rmap(), __page_set_anon_rmap().
    Locks:   the page-table lock of the entry that is about to show the frame; and the lock that
             keeps the VMA as it is.
    Races:   a writer that moves vm_start and vm_pgoff one after the other. `start` was read a step
             before, so the index is right if both were read before the move, or both after it.
    """
    return Step("folio_add_new_anon_rmap", (folio, vma, page, start))


def page_try_dup_anon_rmap(folio: Frame, dst_vma: Vma) -> Step:
    """The step that counts one more mapping of an anonymous frame, by a child's VMA.

    A search for the frame's mappings goes from its anon_vma to the VMAs linked to it. So `dst_vma`
    must be linked to it (include/linux/rmap.h).
    """
    return Step("page_try_dup_anon_rmap", (folio, dst_vma))
