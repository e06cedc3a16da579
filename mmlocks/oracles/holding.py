"""Which of the demanded locks a CPU holds when it reads or writes a field, and which it lacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from mmlocks.machine import Cell, Layout, Rcu, Record, View
from mmlocks.mm.maple_node import MapleNode
from mmlocks.mm.mm_types import NEVER_LOCKED, AnonVma, File, Mm, Vma
from mmlocks.oracles.fields import (
    DETACHED,
    FIELDS,
    I_MMAP,
    I_MMAP_WRITE,
    MMAP,
    MMAP_WRITE,
    PAGE_TABLE_LOCK,
    PTL,
    RCU,
    RMAP,
    ROWS,
    UNPUBLISHED,
    VM_LOCK,
    VMA,
    VMA_WRITE,
    FieldRule,
    Lock,
    LockSet,
)
from mmlocks.releases import PER_VMA_LOCKS, SPECULATIVE_FAULTS, Release


class GuardedCell(NamedTuple):
    """One field of one record: its cell, its row in the table, and what leads to its locks."""

    cell: Cell[Any]
    row: FieldRule
    owner: Record
    mm: Mm | None = None
    vma: Vma | None = None
    page: int | None = None
    file: File | None = None

    def words(self, text: str) -> str:
        """A lock's text with the names of the objects it belongs to."""
        return text.format(mm=self.mm, vma=self.vma, page=self.page, file=self.file)


def places(layout: Layout) -> dict[int, GuardedCell]:
    """Every judged cell of a layout, by its index."""
    return {
        place.cell.index: place
        for record in layout.records.values()
        for place in _places_of(record)
    }


def _places_of(record: Record) -> Iterator[GuardedCell]:
    if isinstance(record, Vma):
        for row in ROWS:
            cell = (
                getattr(record, row.field, None) if row.record == "Vma" and not row.kind else None
            )
            if isinstance(cell, Cell):
                yield GuardedCell(cell, row, record, record.vm_mm, record)
    elif isinstance(record, Mm):
        for row in ROWS:
            cell = getattr(record, row.field, None) if row.record == "Mm" and not row.kind else None
            if isinstance(cell, Cell):
                yield GuardedCell(cell, row, record, record)
        yield GuardedCell(record.mm_mt.ma_root, FIELDS["MapleTree.ma_root"], record.mm_mt, record)
        for node in record.mm_mt.nodes:
            yield GuardedCell(node.ranges, FIELDS["MapleNode.ranges"], node, record)
        for page, cell in record.page_table.pte.items():
            yield GuardedCell(cell, FIELDS["PageTable.pte"], record.page_table, record, page=page)
    elif isinstance(record, File):
        yield GuardedCell(record.i_mmap, FIELDS["File.i_mmap"], record, file=record)


def objects(layout: Layout) -> dict[int, Record]:
    """The object of the kernel to which each cell belongs, for objects that can be freed."""
    found: dict[int, Record] = {}
    for record in layout.records.values():
        if isinstance(record, Vma):
            found.update((cell.index, record) for cell in record.cells() if cell is not record.life)
        elif isinstance(record, MapleNode):
            found[record.ranges.index] = record
        elif isinstance(record, AnonVma):
            found[record.refcount.index] = record
    return found


# -- what a CPU holds --------------------------------------------------------------------------


class Holding:
    """Which of the table's locks a CPU holds, in one release.

    It looks at that CPU's own locks only, so no other CPU can change the answer.
    """

    def __init__(self, layout: Layout, release: Release) -> None:
        self.per_vma = PER_VMA_LOCKS in release.patches
        self.speculates = SPECULATIVE_FAULTS in release.patches
        domains = [record for record in layout.records.values() if isinstance(record, Rcu)]
        self.sections = domains[0].sections if domains else ()
        self.files = [record for record in layout.records.values() if isinstance(record, File)]

    def missing(
        self, view: View, cpu: int, place: GuardedCell, writes: bool, found: Any
    ) -> tuple[LockSet, ...]:
        """The sets of locks that are missing for an access; () if it is allowed.

        Of all ways to allow it, those that lack the fewest locks.
        """
        row = place.row
        if place.mm is not None and not place.mm.mm_mt.in_rcu:
            return ()  # of a child that is still being built: not reachable yet
        if writes:
            sets = row.fills if row.fills and not found else row.writes
            # Without the second condition, `spares` would look at cells that `cells` leaves out.
            if (
                place.vma is not None
                and row.spared
                and self.spares(view, cpu, place.vma, row.spared)
            ):
                return ()
            if not sets:
                return ((),)
        else:
            sets = (*row.reads, *(row.speculative if self.speculates else ()))
            if (
                place.vma is not None
                and DETACHED in row.spared
                and self.spares(view, cpu, place.vma, (DETACHED,))
            ):
                return ()
        sets = sets if self.per_vma else _without_vma_locks(sets)
        lacking = [
            tuple(lock for lock in each if not self.holds(view, cpu, lock, place)) for each in sets
        ]
        if not all(lacking):
            return ()
        fewest = min(map(len, lacking))
        return tuple(each for each in lacking if len(each) == fewest)

    def spares(self, view: View, cpu: int, vma: Vma, kinds: tuple[str, ...]) -> bool:
        """Whether a VMA is out of reach of all others.

        The CPU that asks holds mmap_lock, so that stays true.
        """
        mm, detached = vma.vm_mm, view[vma.detached.index] is True
        if DETACHED in kinds and detached and _shares(view, cpu, mm.mmap_lock):
            return True
        if UNPUBLISHED not in kinds or detached or view[mm.mmap_lock.writer.index] != cpu + 1:
            return False
        if view[vma.vm_lock_seq.index] != NEVER_LOCKED:
            return False  # it was in the tree before, or is write-locked, as a VMA in reach must be
        return not _leads_to(view, view[mm.mm_mt.ma_root.index], vma)

    def holds(self, view: View, cpu: int, lock: Lock, place: GuardedCell) -> bool:
        """Whether `cpu` holds a lock of the kind that a row names, on the objects of this cell."""
        if lock is RCU:
            return bool(self.sections) and view[self.sections[cpu].index] % 2 == 1
        if lock is RMAP:
            return any(
                _shares(view, cpu, file.i_mmap_rwsem) and place.vma in view[file.i_mmap.index]
                for file in self.files
            )
        if lock in (I_MMAP, I_MMAP_WRITE):
            assert place.file is not None
            semaphore = place.file.i_mmap_rwsem
            owned = bool(view[semaphore.writer.index] == cpu + 1)
            return owned or (lock is I_MMAP and _shares(view, cpu, semaphore))
        mm, vma = place.mm, place.vma
        assert mm is not None
        writer = bool(view[mm.mmap_lock.writer.index] == cpu + 1)
        if lock is MMAP_WRITE:
            return writer
        if lock is MMAP:
            return _shares(view, cpu, mm.mmap_lock)
        if lock is PAGE_TABLE_LOCK:
            return bool(view[mm.page_table_lock.owner.index] == cpu + 1)
        if lock is PTL:
            assert place.page is not None
            return bool(view[mm.page_table.ptl[place.page].owner.index] == cpu + 1)
        if vma is None:
            # A page-table entry does not lead to its VMA: any VMA of the address space will do that
            # this CPU has locked.
            return any(
                self._locked(view, cpu, each, lock, writer) for each in (*mm.vmas, *mm.spare_vmas)
            )
        return self._locked(view, cpu, vma, lock, writer)

    def _locked(self, view: View, cpu: int, vma: Vma, lock: Lock, writer: bool) -> bool:
        """The VMA lock. Its write side is a state that the holder of mmap_lock for writing has."""
        if lock is VMA_WRITE and not self.per_vma:
            return writer
        if view[vma.vm_lock.writer.index] == cpu + 1:
            return True
        written = writer and view[vma.vm_lock_seq.index] == view[vma.vm_mm.mm_lock_seq.index]
        if lock is VMA:
            return written or bool(view[vma.vm_lock.readers[cpu].index])
        return lock is VMA_WRITE and written

    def cells(self, cpu: int, place: GuardedCell, writes: bool) -> list[int]:
        """The cells at which `missing` may look."""
        row, mm = place.row, place.mm
        if mm is None:
            assert place.file is not None
            semaphore = place.file.i_mmap_rwsem
            return [semaphore.writer.index, semaphore.readers[cpu].index]
        if not mm.mm_mt.in_rcu:
            return []
        looks: list[Cell[Any]] = [mm.mmap_lock.writer, mm.mmap_lock.readers[cpu]]
        demanded = {
            lock
            for each in (*row.writes, *row.fills, *row.reads, *row.speculative)
            for lock in each
        }
        vmas = [place.vma] if place.vma is not None else [*mm.vmas, *mm.spare_vmas]
        if demanded & {VMA, VMA_WRITE, VM_LOCK}:
            looks.append(mm.mm_lock_seq)
            for vma in vmas:
                looks += (vma.vm_lock_seq, vma.vm_lock.writer, vma.vm_lock.readers[cpu])
        if RMAP in demanded:
            for file in self.files:
                looks += (file.i_mmap, file.i_mmap_rwsem.writer, file.i_mmap_rwsem.readers[cpu])
        if PAGE_TABLE_LOCK in demanded:
            looks.append(mm.page_table_lock.owner)
        if PTL in demanded and place.page is not None:
            looks.append(mm.page_table.ptl[place.page].owner)
        if row.spared and place.vma is not None:
            looks += (place.vma.detached, place.vma.vm_lock_seq)
            if writes:
                looks += (mm.mm_mt.ma_root, *(node.ranges for node in mm.mm_mt.nodes))
        if RCU in demanded and self.sections:
            looks.append(self.sections[cpu])
        return [cell.index for cell in looks]


def _shares(view: View, cpu: int, lock: Any) -> bool:
    return bool(view[lock.readers[cpu].index] or view[lock.writer.index] == cpu + 1)


def _without_vma_locks(sets: tuple[LockSet, ...]) -> tuple[LockSet, ...]:
    """What the table demands in a release without per-VMA locks."""
    return tuple(
        tuple(lock for lock in each if lock is not VMA_WRITE) for each in sets if VMA not in each
    )


def _leads_to(view: View, node: MapleNode, vma: Vma) -> bool:
    ranges = view[node.ranges.index]
    return any(
        slot is vma or (isinstance(slot, MapleNode) and _leads_to(view, slot, vma))
        for slot in getattr(ranges, "slots", ())
    )
