"""Deliberate errors in the model, each a change of one line of its text, which a comparison with the kernel must find."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.mutated import mutated


class Mutation(NamedTuple):
    """An error: what it is, in which file, and which text becomes which."""

    about: str
    file: str
    old: str
    new: str


MUTATIONS = (
    Mutation(
        "munmap ends a page early",
        "munmap",
        "end = start + page_align(length)",
        "end = start + page_align(length) - PAGE_SIZE",
    ),
    Mutation(
        "munmap leaves the pages",
        "munmap",
        "        await zap_page_range(mm, start, end)\n",
        "        pass\n",
    ),
    Mutation(
        "pgoff is not advanced by a split",
        "split",
        "old.pgoff + (address - old.start) // PAGE_SIZE",
        "old.pgoff",
    ),
    Mutation(
        "a merge does not ask for pgoff",
        "merge",
        "left.end == new.start and in_line and",
        "left.end == new.start and",
    ),
    Mutation("a merge does not ask for flags", "merge", "target.flags == new.flags and", ""),
    Mutation(
        "a merge across differing anon_vmas",
        "merge",
        "    if target.anon_vma is anon_vma:\n",
        "    if True:\n",
    ),
    Mutation(
        "a merge onto what fork left, by a new area",
        "merge",
        "anon_vma is None and len(target.chain) == 1",
        "anon_vma is None",
    ),
    Mutation(
        "a merge of three that two of them forbid",
        "merge",
        "        right = None  # each is like",
        "        pass  # each is like",
    ),
    Mutation(
        "what is merged is filed nowhere",
        "merge",
        "first = target.anon_vma is None and part.anon_vma is not None",
        "first = False",
    ),
    Mutation(
        "the previous neighbour's anon_vma before the next one's",
        "rmap",
        "((find_vma, end), (find_vma_before, start))",
        "((find_vma_before, start), (find_vma, end))",
    ),
    Mutation(
        "no neighbour's anon_vma is used", "rmap", "and len(chain) == 1:", "and len(chain) == 0:"
    ),
    Mutation(
        "a neighbour's anon_vma, though its flags differ",
        "rmap",
        "(flags ^ theirs) & ~VM_ACCESS_FLAGS == 0 and",
        "",
    ),
    Mutation("an inherited anon_vma is used again", "rmap", "and len(chain) == 1:", "and chain:"),
    Mutation(
        "a stack grows to 255 pages from its neighbour",
        "stack",
        "address - end < mm.limits.stack_guard_gap",
        "address - end < mm.limits.stack_guard_gap - PAGE_SIZE",
    ),
    Mutation(
        "a stack keeps away from what cannot be accessed",
        "stack",
        "vm_flags & VM_ACCESS_FLAGS and not vm_flags & VM_GROWSDOWN",
        "not vm_flags & VM_GROWSDOWN",
    ),
    Mutation(
        "a stack grows to one page less than its limit",
        "stack",
        "end - address > mm.limits.rlimit_stack",
        "end - address >= mm.limits.rlimit_stack",
    ),
    Mutation("a stack grows without an anon_vma", "stack", "    await anon_vma_prepare(vma)\n", ""),
    Mutation(
        "pgoff stays when a stack grows",
        "stack",
        "            await vma.vm_pgoff.set(pgoff - grow)\n",
        "",
    ),
    Mutation(
        "a hint is rounded up",
        "mmap",
        "address -= address % PAGE_SIZE",
        "address = page_align(address)",
    ),
    Mutation(
        "a low hint is no hint",
        "mmap",
        "            address = mm.limits.mmap_min_addr\n",
        "            address = 0\n",
    ),
    Mutation("MAP_FIXED_NOREPLACE replaces", "mmap", "        return -EEXIST\n", "        pass\n"),
    Mutation(
        "NORESERVE is accounted",
        "mmap",
        "(VM_NORESERVE | VM_SHARED | VM_WRITE)",
        "(VM_SHARED | VM_WRITE)",
    ),
    Mutation(
        "a hint may lie in a stack's gap",
        "placement",
        "address + length <= await room_ends(mm, above)",
        "address + length <= await above.vm_start",
    ),
    Mutation(
        "memory is placed in a stack's gap",
        "placement",
        "        if room >= top:\n",
        "        if True:\n",
    ),
    Mutation(
        "nothing is aligned to 2 MiB",
        "placement",
        "        if start > 0:\n            return start + HUGE",
        "        if False:\n            return start + HUGE",
    ),
    Mutation(
        "2 MiB alignment of every large length",
        "placement",
        "            aligned = aligned and length % HUGE == 0\n",
        "            pass\n",
    ),
    Mutation(
        "RW to R keeps the account", "mprotect", "        flags &= ~VM_ACCOUNT", "        pass"
    ),
    Mutation(
        "RW to R of touched memory drops the account",
        "mprotect",
        "and old.file is None and old.anon_vma is None:",
        "and old.file is None:",
    ),
    Mutation(
        "mprotect passes over holes",
        "mprotect",
        "        if old.start > start:\n            return -ENOMEM\n",
        "",
    ),
    Mutation(
        "mprotect leaves the page table",
        "mprotect",
        "    await change_protection(vma, start, end, flags)\n",
        "",
    ),
    Mutation(
        "mprotect leaves the TLBs",
        "mprotect",
        "        await flush_tlb_pages(mm, changed)\n",
        "        pass\n",
    ),
    Mutation("the heap grows to its neighbour", "brk", "new + PAGE_SIZE > await", "new > await"),
    Mutation(
        "the heap shrinks over a hole",
        "brk",
        "return bool(heap) and await do_munmap",
        "return await do_munmap",
    ),
    Mutation(
        "the heap grows over its neighbour's gap",
        "brk",
        "await room_ends(mm, above)",
        "await above.vm_start",
    ),
    Mutation(
        "memory that moves untouched keeps its pgoff",
        "mremap",
        "if vma.file is None and vma.anon_vma is None:",
        "if False:",
    ),
    Mutation(
        "memory that moves touched gets a new pgoff",
        "mremap",
        "if vma.file is None and vma.anon_vma is None:",
        "if vma.file is None:",
    ),
    Mutation(
        "memory grows over its neighbour",
        "mremap",
        " or await for_each_vma(mm, vma.end, end):",
        ":",
    ),
    Mutation(
        "DONTUNMAP leaves the anon_vma",
        "mremap",
        "        await unlink_anon_vmas(source)\n",
        "        pass\n",
    ),
    Mutation(
        "what moves leaves its pages behind",
        "mremap",
        "    await move_page_tables(mm, vma, old, new, old_length, need_rmap_locks)\n",
        "",
    ),
    Mutation(
        "a moved range keeps no holes",
        "mremap",
        "new + start - old)\n        if moved",
        "new)\n        if moved",
    ),
    Mutation(
        "MADV_DONTNEED keeps the pages",
        "madvise",
        "            await zap_page_range(mm, max(low, start), min(high, end))\n",
        "            pass\n",
    ),
    Mutation(
        "MADV_DONTNEED forgives holes",
        "madvise",
        "            error = -ENOMEM\n",
        "            pass\n",
    ),
    Mutation(
        "fork leaves the parent writable",
        "fork",
        "        ptep_set_wrprotect(oldmm, page, entry),\n",
        "",
    ),
    Mutation("fork does not flush", "fork", "    await flush_tlb_mm(oldmm)\n", ""),
    Mutation(
        "a copy is not a copy", "cow", "copied: Frame | None = old", "copied: Frame | None = None"
    ),
    Mutation(
        "a shared frame is written in place",
        "cow",
        "if count == 1 or vm_flags",
        "if count <= 2 or vm_flags",
    ),
    Mutation(
        "a private file is written to",
        "filemap",
        "if not vm_flags & VM_SHARED:\n        new = await",
        "if False:\n        new = await",
    ),
    Mutation(
        "a file's pages are counted from the area, by loads",
        "filemap",
        "file.frame(linear_page_index(pgoff, start, page * PAGE_SIZE))\n    if now",
        "file.frame((page * PAGE_SIZE - start) // PAGE_SIZE)\n    if now",
    ),
    Mutation(
        "a file's pages are counted from the area, by stores",
        "filemap",
        "file.frame(linear_page_index(pgoff, start, page * PAGE_SIZE))\n    # Before",
        "file.frame((page * PAGE_SIZE - start) // PAGE_SIZE)\n    # Before",
    ),
)


def replacements(mutation: Mutation) -> dict[str, Callable[..., Any]]:
    """The kernel functions of the file with the error in it."""
    return mutated(mutation.file, mutation.old, mutation.new)
