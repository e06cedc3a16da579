"""What the steps say in timelines and pictures: a few words such as `P3: F0 rw -> F0 ro`."""

from __future__ import annotations

from typing import Any

import mmlocks.mm.reclaim
import mmlocks.mm.steps  # noqa: F401  the steps of these are told here
from mmlocks.machine import Layout
from mmlocks.machine.state import Poison
from mmlocks.machine.step import telling
from mmlocks.mm.address import page_of, slot_of, word
from mmlocks.mm.maple_node import Level, MapleNode, MapleTree, Ranges
from mmlocks.mm.mm_types import AnonVma, File, Frame, Mm, Pte, Vma

# -- the hardware -----------------------------------------------------------------------------


def _through(layout: Layout, before: int, after: int, cpu: int, mm: Mm, page: int) -> str:
    """Which translation an access used, and whether that one is out of date."""
    cell = mm.tlb.entry(cpu, page)
    entry, was = cell.of(after), cell.of(before)
    if entry is None:
        return ""
    if was == entry:
        current = mm.page_table.pte[page].of(before)
        stale = (
            ""
            if current is not None and entry in (current, current.wrprotected())
            else ", which is stale"
        )
        return f" into {entry.frame} through its TLB{stale}"
    return f" into {entry.frame}"


@telling("mmu_store")
def _store_told(
    layout: Layout, before: int, after: int, cpu: int, ok: bool, mm: Mm, address: int, value: Any
) -> str:
    page, slot = page_of(address), slot_of(address)
    if not ok:
        return f"stores {word(page, slot)} = {value}: page fault ({_why(mm, before, page, cpu)})"
    return f"stores {word(page, slot)} = {value}{_through(layout, before, after, cpu, mm, page)}"


@telling("mmu_load")
@telling("mmu_fetch_add")
def _load_told(
    layout: Layout,
    before: int,
    after: int,
    cpu: int,
    got: tuple[Any, ...],
    mm: Mm,
    address: int,
    *_: Any,
) -> str:
    page, slot = page_of(address), slot_of(address)
    if not got:
        return f"reads {word(page, slot)}: page fault ({_why(mm, before, page, cpu)})"
    where = _through(layout, before, after, cpu, mm, page).replace("into", "from", 1)
    return f"reads {word(page, slot)} = {got[0]}{where}"


def _why(mm: Mm, state: int, page: int, cpu: int) -> str:
    entry = mm.page_table.pte[page].of(state)
    if entry is None:
        return f"P{page} is not present"
    return (
        f"P{page} is not to be accessed, {entry}"
        if entry.none
        else f"P{page} is read-only, {entry}"
    )


@telling("flush_tlb")
def _flush_told(
    layout: Layout,
    before: int,
    after: int,
    cpu: int,
    result: Any,
    mm: Mm,
    pages: tuple[int, ...] | None,
) -> str:
    dropped = [
        cell.name
        for (_, page), cell in mm.tlb.cached.items()
        if (pages is None or page in pages) and cell.of(before) is not None
    ]
    which = "all pages" if pages is None else ", ".join(f"P{page}" for page in pages)
    return f"flushes {which} from all TLBs" + (f" (drops {', '.join(dropped)})" if dropped else "")


@telling("alloc_folio")
def _alloc_told(
    layout: Layout,
    before: int,
    after: int,
    cpu: int,
    got: Frame,
    mm: Mm,
    page: int,
    old: Frame | None,
) -> str:
    contents = " ".join(str(cell.of(after)) for cell in got.data)
    return (
        f"copies {old} to new {got} ({contents})"
        if old is not None
        else f"new zeroed {got} for P{page}"
    )


@telling("folio_put")
def _put_told(layout: Layout, before: int, after: int, cpu: int, result: Any, folio: Frame) -> str:
    left = folio.refcount.of(after)
    return f"drops {folio}, {left} reference{'s' * (left != 1)} left" if left else f"frees {folio}"


@telling("set_pte")
def _set_pte_told(
    layout: Layout,
    before: int,
    after: int,
    cpu: int,
    result: None,
    mm: Mm,
    page: int,
    entry: Pte | None,
) -> str:
    cell = mm.page_table.pte[page]
    return f"{cell.name}: {cell.of(before) or 'none'} -> {entry or 'none'}"


@telling("vm_area_dup")
def _dup_told(
    layout: Layout,
    before: int,
    after: int,
    cpu: int,
    result: tuple[Vma, File | None],
    mm: Mm,
    orig: Vma,
) -> str:
    return f"duplicates VMA {orig} as {result[0]}"


@telling("vma_interval_tree_foreach")
def _mappings_told(
    layout: Layout, before: int, after: int, cpu: int, found: tuple[Vma, ...], file: File
) -> str:
    return f"{file.i_mmap.name} is {file.i_mmap.text(found)}"


@telling("vm_area_alloc")
def _vma_told(
    layout: Layout,
    before: int,
    after: int,
    cpu: int,
    vma: Vma,
    mm: Mm,
    start: int,
    end: int,
    *_: Any,
) -> str:
    return f"new VMA {vma} for [{start:#x}, {end:#x})"


@telling("anon_vma_alloc")
def _anon_vma_told(
    layout: Layout, before: int, after: int, cpu: int, anon_vma: AnonVma, vma: Vma
) -> str:
    return f"new {anon_vma}"


@telling("anon_vma_get")
@telling("anon_vma_put")
def _links_told(
    layout: Layout, before: int, after: int, cpu: int, result: None, anon_vma: AnonVma
) -> str:
    left = anon_vma.refcount.of(after)
    return f"{anon_vma} has {left} VMA{'s' * (left != 1)} now" if left else f"frees {anon_vma}"


@telling("folio_add_new_anon_rmap")
def _filed_told(
    layout: Layout,
    before: int,
    after: int,
    cpu: int,
    result: None,
    folio: Frame,
    vma: Vma,
    page: int,
    start: int,
) -> str:
    return f"files {folio} in {folio.mapping.of(after)} under index {folio.index.of(after)}"


@telling("page_try_dup_anon_rmap")
def _shared_told(
    layout: Layout, before: int, after: int, cpu: int, result: None, folio: Frame, vma: Vma
) -> str:
    return ""


# -- the tree ---------------------------------------------------------------------------------


@telling("mas_walk")
def _walk_told(
    layout: Layout, before: int, after: int, cpu: int, vma: Vma | None, mm: Mm, address: int
) -> str:
    return f"finds {'VMA ' + str(vma) if vma else 'nothing'} at {address:#x} in the tree"


@telling("for_each_vma")
def _all_told(
    layout: Layout,
    before: int,
    after: int,
    cpu: int,
    vmas: tuple[Vma, ...],
    mm: Mm,
    start: int,
    end: int,
) -> str:
    if not start and end >= mm.limits.task_size:
        return f"the VMAs of {mm}: {', '.join(map(str, vmas)) or 'none'}"
    return f"VMAs in [{start:#x}, {end:#x}): {', '.join(map(str, vmas)) or 'none'}"


@telling("mas_start")
def _start_told(
    layout: Layout,
    before: int,
    after: int,
    cpu: int,
    found: MapleNode | tuple[Level, ...],
    mm: Mm,
    address: int,
) -> str:
    if isinstance(found, MapleNode):
        return f"begins at {found} to look for {address:#x}"
    way = ", ".join(str(level.node) for level in found)
    return f"finds the way to {address:#x} in the tree: {way}"


@telling("mas_read")
def _read_told(
    layout: Layout, before: int, after: int, cpu: int, ranges: Ranges, node: MapleNode
) -> str:
    return f"{node} holds {ranges}"


@telling("mas_write")
def _write_told(
    layout: Layout, before: int, after: int, cpu: int, result: None, node: MapleNode, ranges: Ranges
) -> str:
    return f"{node}, in place: {ranges}"


@telling("mas_build")
def _build_told(
    layout: Layout,
    before: int,
    after: int,
    cpu: int,
    node: MapleNode,
    tree: MapleTree[Any],
    ranges: Ranges,
) -> str:
    return f"builds {node}: {ranges}"


@telling("mas_retire")
def _retire_told(
    layout: Layout,
    before: int,
    after: int,
    cpu: int,
    result: None,
    tree: MapleTree[Any],
    node: MapleNode,
) -> str:
    return f"{node} is dead" + (" and freed" if isinstance(node.ranges.of(after), Poison) else "")


@telling("shmem_zero_setup")
def _shmem_told(
    layout: Layout, before: int, after: int, cpu: int, file: File, mm: Mm, pages: int
) -> str:
    return f"new {file} of {pages} pages"


@telling("leave_rcu_if_covered")
def _leave_told(
    layout: Layout, before: int, after: int, cpu: int, covered: bool, vma: Vma, address: int
) -> str:
    if not covered:
        return f"{vma} is not in the tree any more, or does not hold {address:#x}"
    return f"{vma} still holds {address:#x}; leaves the RCU read section"
